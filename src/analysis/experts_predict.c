/* SPDX-License-Identifier: MIT
 *
 * How well the experts of the next token (in the same layer), and of the next layer (for the same token), are
 * predicted: trained on the first half of each context's tokens, tested on the second. A guess is as many experts as
 * the layer uses.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/experts.h"
#include "analysis/units.h"

enum { WORK_MOST = 1 << 27 /* cells of matrices that tests may read, for either question */ };

enum question { NEXT_TOKEN, NEXT_LAYER, QUESTIONS };
enum method { LAST, FREQUENT, MARKOV, METHODS };

static const char * const question_names[QUESTIONS] = { "next token", "next layer" };
static const char * const method_names[METHODS]     = { "the last one's", "the most frequent", "Markov chain" };
static const char * const method_keys[METHODS]      = { "last", "frequent", "markov" };

struct score {
    uint64_t rows, first, right, chosen; /* rows whose first guess is among the chosen; experts guessed rightly */
};

struct tested {
    uint32_t *   frequent; /* the layer's guess; NULL: untested */
    uint64_t *   from;     /* what each expert of the matrix leads to in all: the last token's, the layer's above */
    uint64_t *   from_above;
    uint64_t     asked[QUESTIONS];
    struct score score[QUESTIONS][METHODS];
};

struct prediction {
    struct tested * layer; /* as those of struct experts */
    double *        points;
    uint64_t        every[QUESTIONS]; /* row of the test is tried */
    bool            failed;
};

/* ------------------------------------------------------------------------------------------------------------ guess */

/* The k experts with most points: of equal ones those that were chosen more in training, then the lower number. Returns
 * how many were found. */
static uint32_t best(const struct expert_layer * l, const double * points, uint32_t k, uint32_t * guess) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < l->n_experts; i++) {
        uint32_t at = n;
        while (at && (points[guess[at - 1]] < points[i] ||
                      (points[guess[at - 1]] == points[i] && l->use[guess[at - 1]].trained < l->use[i].trained))) {
            at--;
        }
        if (at == k) { continue; }
        if (n < k) { n++; }
        memmove(guess + at + 1, guess + at, (n - 1 - at) * sizeof *guess);
        guess[at] = i;
    }
    return n;
}

/* What follows on each of the experts before, on average over them: a row of the matrix is a distribution. */
static void add_points(double * points, const uint32_t * cells, const uint64_t * all, uint32_t n,
                       const uint32_t * before, uint32_t n_before, uint32_t n_rows) {
    memset(points, 0, n * sizeof *points);
    for (uint32_t i = 0; i < n_before; i++) {
        if (before[i] >= n_rows || all[before[i]] == 0) { continue; }
        const uint32_t * row   = cells + (size_t) before[i] * n;
        const double     total = (double) all[before[i]];
        for (uint32_t e = 0; e < n; e++) { points[e] += row[e] / total; }
    }
}

static void mark_score(struct experts * x, struct score * s, const uint32_t * guess, uint32_t n,
                       const struct expert_row * row) {
    s->rows++;
    s->chosen += row->n_used;
    s->right += experts_marked(x, guess, n);
    s->first += experts_marked(x, guess, n ? 1 : 0);
}

static void ask(struct experts * x, struct prediction * p, enum question q, struct expert_layer * l,
                const struct expert_row * row) {
    struct tested *  t = &p->layer[l - x->layer];
    uint32_t         guess[EXPERT_USED_MAX];
    const uint32_t * before   = q == NEXT_TOKEN ? l->last : row->above;
    const uint32_t   n_before = q == NEXT_TOKEN ? l->n_last : row->n_above;
    const uint32_t * cells    = q == NEXT_TOKEN ? l->trained : l->down;
    if (!cells || t->asked[q]++ % p->every[q]) { return; }
    const uint32_t n_rows = q == NEXT_TOKEN ? l->n_experts : x->layer[l->above].n_experts;
    add_points(p->points, cells, q == NEXT_TOKEN ? t->from : t->from_above, l->n_experts, before, n_before, n_rows);
    const uint32_t n = best(l, p->points, row->n_used, guess);
    experts_mark(x, row->ids, row->n_used);
    mark_score(x, &t->score[q][MARKOV], guess, n, row);
    mark_score(x, &t->score[q][FREQUENT], t->frequent, row->n_used < l->n_experts ? row->n_used : l->n_experts, row);
    if (q == NEXT_TOKEN) { mark_score(x, &t->score[q][LAST], before, n_before, row); }
}

static void test_row(struct experts * x, struct expert_layer * l, const struct expert_row * row, void * user) {
    struct prediction * p = user;
    if (row->first_half || !p->layer[l - x->layer].frequent) { return; }
    if (row->after_last) { ask(x, p, NEXT_TOKEN, l, row); }
    if (row->above) { ask(x, p, NEXT_LAYER, l, row); }
}

struct second_pass {
    struct experts *    x;
    struct prediction * p;
};

static void test(const struct routed * routed, void * user) {
    struct second_pass * s = user;
    experts_each_row(s->x, routed, test_row, s->p);
}

/* ------------------------------------------------------------------------------------------------------ preparation */

static uint64_t * totals(struct prediction * p, const uint32_t * cells, uint32_t rows, uint32_t columns) {
    uint64_t * all = calloc(rows, sizeof *all);
    p->failed |= !all;
    for (size_t i = 0; all && i < (size_t) rows * columns; i++) { all[i / columns] += cells[i]; }
    return all;
}

static void prepare_layer(const struct experts * x, struct prediction * p, uint32_t number) {
    const struct expert_layer * l = &x->layer[number];
    struct tested *             t = &p->layer[number];
    if (!l->trained) { return; }
    t->from     = totals(p, l->trained, l->n_experts, l->n_experts);
    t->frequent = calloc(EXPERT_USED_MAX, sizeof *t->frequent);
    p->failed |= !t->frequent;
    if (l->down) { t->from_above = totals(p, l->down, x->layer[l->above].n_experts, l->n_experts); }
    memset(p->points, 0, l->n_experts * sizeof *p->points);
    if (t->frequent) { best(l, p->points, l->n_used, t->frequent); }
}

/* Every how many rows can be tried, so that a long run of many experts takes no longer than a second. */
static uint64_t every(const struct experts * x, enum question q) {
    uint64_t work = 0;
    for (uint32_t i = 0; i < x->n_slots; i++) {
        const struct expert_layer * l = &x->layer[i];
        if (l->trained) {
            work += (q == NEXT_TOKEN ? l->last_token.pairs : l->last_layer.pairs) * l->n_used * l->n_experts;
        }
    }
    return 1 + work / 2 / WORK_MOST;
}

static struct prediction * prediction_new(struct experts * x) {
    struct prediction * p    = calloc(1, sizeof *p);
    uint32_t            most = 1;
    if (!p) { return NULL; }
    p->layer = calloc((size_t) x->n_slots + 1, sizeof *p->layer);
    for (uint32_t i = 0; i < x->n_slots; i++) {
        if (x->layer[i].n_experts > most) { most = x->layer[i].n_experts; }
        x->layer[i].has_last = false;
    }
    p->points            = calloc(most, sizeof *p->points);
    p->every[NEXT_TOKEN] = every(x, NEXT_TOKEN);
    p->every[NEXT_LAYER] = every(x, NEXT_LAYER);
    p->failed            = !p->layer || !p->points;
    for (uint32_t i = 0; i < x->n_slots && !p->failed; i++) { prepare_layer(x, p, i); }
    return p;
}

static void prediction_free(const struct experts * x, struct prediction * p) {
    for (uint32_t i = 0; p && p->layer && i < x->n_slots; i++) {
        free(p->layer[i].frequent);
        free(p->layer[i].from);
        free(p->layer[i].from_above);
    }
    if (p) {
        free(p->layer);
        free(p->points);
    }
    free(p);
}

/* ---------------------------------------------------------------------------------------------------------- results */

static const struct result_column columns[] = {
    { "predicted", "experts of the", UNIT_TEXT },
    { "guess", "guess", UNIT_TEXT },
    { "first_right", "first right", UNIT_SHARE },
    { "set_right", "right of the set", UNIT_SHARE },
    { "wrong_bytes_per_token", "wrong bytes/token", UNIT_BYTES },
};

static const struct result_column layer_columns[] = {
    { "layer", "layer", UNIT_NUMBER },
    { "predicted", "experts of the", UNIT_TEXT },
    { "method", "method", UNIT_TEXT },
    { "tested", "tested", UNIT_COUNT },
    { "first_right", "first", UNIT_SHARE },
    { "set_right", "all", UNIT_SHARE },
    { "wrong_bytes_per_token", "wrong bytes/token", UNIT_BYTES },
};

struct total {
    struct score score;
    double       wrong_bytes; /* of a token, over the layers tested */
    double       chance;      /* share right of a guess at random, weighted by experts chosen */
};

static double wrong_bytes(const struct expert_layer * l, const struct score * s) {
    return s->rows ? (double) (s->chosen - s->right) / (double) s->rows * (double) l->slice_bytes : 0;
}

static void add(struct total * t, const struct expert_layer * l, const struct score * s) {
    t->score.rows += s->rows;
    t->score.first += s->first;
    t->score.right += s->right;
    t->score.chosen += s->chosen;
    t->wrong_bytes += wrong_bytes(l, s);
    t->chance += (double) s->chosen * l->n_used / l->n_experts;
}

static void show_layers(const struct experts * x, const struct prediction * p, struct result * r,
                        struct total total[QUESTIONS][METHODS]) {
    result_table(r, "prediction_layers", "Prediction by layer", SHOW_NEVER, layer_columns,
                 sizeof layer_columns / sizeof layer_columns[0]);
    for (uint32_t i = 0; i < x->n_slots; i++) {
        for (int q = 0; q < QUESTIONS; q++) {
            for (int m = 0; m < METHODS; m++) {
                const struct score * s = &p->layer[i].score[q][m];
                if (s->rows == 0) { continue; }
                json_t * row = result_row(r);
                result_put_layer(r, row, "layer", i);
                result_put_text(r, row, "predicted", question_names[q]);
                result_put_text(r, row, "method", method_keys[m]);
                result_put_count(r, row, "tested", s->rows);
                result_put_real(r, row, "first_right", ratio(s->first, s->rows));
                result_put_real(r, row, "set_right", ratio(s->right, s->chosen));
                result_put_real(r, row, "wrong_bytes_per_token", wrong_bytes(&x->layer[i], s));
                add(&total[q][m], &x->layer[i], s);
            }
        }
    }
}

static void put_row(struct result * r, enum question q, const char * key, const char * guess, double first, double set,
                    double bytes, uint64_t tested) {
    json_t * row = result_row(r);
    result_put_text(r, row, "predicted", question_names[q]);
    result_put_text(r, row, "guess", guess);
    result_put_text(r, row, "method", key);
    result_put_count(r, row, "tested", tested);
    result_put_real(r, row, "first_right", first);
    result_put_real(r, row, "set_right", set);
    result_put_real(r, row, "wrong_bytes_per_token", bytes);
}

/* A guess at random: each of its experts is right as often as any is chosen. */
static double bytes_by_chance(const struct experts * x, const struct prediction * p, enum question q) {
    double bytes = 0;
    for (uint32_t i = 0; i < x->n_slots; i++) {
        const struct expert_layer * l = &x->layer[i];
        if (p->layer[i].score[q][MARKOV].rows == 0) { continue; }
        bytes += l->n_used * (1 - ratio(l->n_used, l->n_experts)) * (double) l->slice_bytes;
    }
    return bytes;
}

static void show_totals(const struct experts * x, const struct prediction * p, struct result * r,
                        struct total total[QUESTIONS][METHODS]) {
    result_table(r, "prediction", "How well experts are predicted", SHOW_ALWAYS, columns,
                 sizeof columns / sizeof columns[0]);
    for (int q = 0; q < QUESTIONS; q++) {
        const struct total * any = &total[q][MARKOV];
        if (any->score.rows == 0) { continue; }
        for (int m = 0; m < METHODS; m++) {
            const struct total * t = &total[q][m];
            if (t->score.rows == 0) { continue; }
            put_row(r, (enum question) q, method_keys[m], method_names[m], ratio(t->score.first, t->score.rows),
                    ratio(t->score.right, t->score.chosen), t->wrong_bytes, t->score.rows);
        }
        const double chance = any->chance / (double) any->score.chosen;
        put_row(r, (enum question) q, "random", "at random", chance, chance, bytes_by_chance(x, p, (enum question) q),
                any->score.rows);
    }
}

static const char * better(const struct total total[METHODS], enum method * method) {
    *method = MARKOV;
    for (int m = 0; m < METHODS; m++) {
        const struct score *s = &total[m].score, *most = &total[*method].score;
        if (s->rows && ratio(s->right, s->chosen) > ratio(most->right, most->chosen)) { *method = (enum method) m; }
    }
    return method_names[*method];
}

static uint64_t mean_slice(const struct experts * x) {
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < x->n_slots; i++) { bytes += x->layer[i].slice_bytes; }
    return x->n_layers ? bytes / x->n_layers : 0;
}

static void say(const struct experts * x, struct result * r, struct total total[QUESTIONS][METHODS],
                const struct prediction * p) {
    static const char    question[] = "Can the experts be predicted?";
    const struct total * token      = total[NEXT_TOKEN];
    enum method          m;
    char                 share[4][UNITS_SIZE], bytes[2][UNITS_SIZE];
    if (token[MARKOV].score.rows == 0) {
        result_answer(r, question,
                      "Not to be told: too few tokens follow each other to train on half and test the other.");
        return;
    }
    const char *         name = better(token, &m);
    const struct total * t    = &token[m];
    const double         all  = t->chance / (double) t->score.chosen;
    format_share(share[0], ratio(t->score.right, t->score.chosen));
    format_share(share[1], ratio(t->score.first, t->score.rows));
    format_share(share[2], all);
    format_bytes(bytes[0], mean_slice(x));
    format_bytes(bytes[1], (uint64_t) t->wrong_bytes);
    result_answer(r, question,
                  "Of the next token's experts, the best of three guesses (%s) has %s right, and its first guess %s of "
                  "the time; a guess "
                  "at random %s. A wrong guess costs an expert's bytes, %s on average; that is %s a token.",
                  name, share[0], share[1], share[2], bytes[0], bytes[1]);
    if (total[NEXT_LAYER][MARKOV].score.rows) {
        const struct score * s = &total[NEXT_LAYER][MARKOV].score;
        result_answer(
            r, "Do the experts of one layer tell those of the next?",
            "A Markov chain from layer to layer has %s of the next layer's experts right, and its first guess %s of "
            "the time; the most frequent experts, whatever the layer before, %s.",
            format_share(share[0], ratio(s->right, s->chosen)), format_share(share[1], ratio(s->first, s->rows)),
            format_share(share[3],
                         ratio(total[NEXT_LAYER][FREQUENT].score.right, total[NEXT_LAYER][FREQUENT].score.chosen)));
    }
    result_note(
        r,
        "Predicted: trained on the first half of a context's tokens, tested on the second, where %s choices of a "
        "layer were guessed. A guess is as many experts as the layer uses; its first is the most likely. Wrong "
        "bytes: gate, up and down of the experts guessed wrongly, over the layers.",
        format_count(share[0], token[MARKOV].score.rows));
    if (p->every[NEXT_TOKEN] > 1 || p->every[NEXT_LAYER] > 1) {
        result_note(r,
                    "So long a run was tested with every %" PRIu64 "th choice of the next token's and every %" PRIu64
                    "th of the next layer's.",
                    p->every[NEXT_TOKEN], p->every[NEXT_LAYER]);
    }
}

void experts_show_prediction(struct experts * x, struct result * r) {
    struct prediction *   p                         = prediction_new(x);
    struct total          total[QUESTIONS][METHODS] = { 0 };
    struct routing_faults again;
    struct second_pass    pass = { x, p };
    x->failed |= !p || p->failed || !routing_each(x->subject, test, &pass, &again);
    if (!x->failed) {
        show_layers(x, p, r, total);
        show_totals(x, p, r, total);
        say(x, r, total, p);
    }
    prediction_free(x, p);
}
