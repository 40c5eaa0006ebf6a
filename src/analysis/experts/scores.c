/* SPDX-License-Identifier: MIT */
#include <inttypes.h>

#include "analysis/experts/predict.h"
#include "analysis/units.h"

static const char * const question_names[QUESTIONS] = { "next token", "next layer" };
static const char * const method_names[METHODS] = { "the last one's", "the most frequent", "Markov chain" };
static const char * const method_keys[METHODS] = { "last", "frequent", "markov" };

static const struct result_column columns[] = {
    { "predicted", "experts of the", UNIT_TEXT },
    { "guess", "prediction", UNIT_TEXT },
    { "first_right", "first right", UNIT_SHARE },
    { "set_right", "right of the set", UNIT_SHARE },
    { "right_bytes_per_token", "right bytes/token", UNIT_BYTES },
    { "wrong_bytes_per_token", "wrong bytes/token", UNIT_BYTES },
};

static const struct result_column layer_columns[] = {
    { "layer", "layer", UNIT_NUMBER },
    { "predicted", "experts of the", UNIT_TEXT },
    { "method", "method", UNIT_TEXT },
    { "tested", "tested", UNIT_COUNT },
    { "first_right", "first", UNIT_SHARE },
    { "set_right", "all", UNIT_SHARE },
    { "right_bytes_per_token", "right bytes/token", UNIT_BYTES },
    { "wrong_bytes_per_token", "wrong bytes/token", UNIT_BYTES },
};

struct total {
    struct score score;
    double right_bytes, wrong_bytes; /* per token, over the layers tested */
    double chance;                   /* share that a random guess gets right, weighted by experts chosen */
};

static double wrong_bytes(const struct expert_layer * l, const struct score * s) {
    return s->rows ? (double) (s->chosen - s->right) / (double) s->rows * (double) l->slice_bytes : 0;
}

static double right_bytes(const struct expert_layer * l, const struct score * s) {
    return s->rows ? (double) s->right / (double) s->rows * (double) l->slice_bytes : 0;
}

static void add(struct total * t, const struct expert_layer * l, const struct score * s) {
    t->score.rows += s->rows;
    t->score.first += s->first;
    t->score.right += s->right;
    t->score.chosen += s->chosen;
    t->right_bytes += right_bytes(l, s);
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
                result_put_real(r, row, "right_bytes_per_token", right_bytes(&x->layer[i], s));
                result_put_real(r, row, "wrong_bytes_per_token", wrong_bytes(&x->layer[i], s));
                add(&total[q][m], &x->layer[i], s);
            }
        }
    }
}

struct row {
    const char *key, *guess;
    double first, set, right_bytes, wrong_bytes;
    uint64_t tested;
};

static void put_row(struct result * r, enum question q, const struct row * of) {
    json_t * row = result_row(r);
    result_put_text(r, row, "predicted", question_names[q]);
    result_put_text(r, row, "guess", of->guess);
    result_put_text(r, row, "method", of->key);
    result_put_count(r, row, "tested", of->tested);
    result_put_real(r, row, "first_right", of->first);
    result_put_real(r, row, "set_right", of->set);
    result_put_real(r, row, "right_bytes_per_token", of->right_bytes);
    result_put_real(r, row, "wrong_bytes_per_token", of->wrong_bytes);
}

/* In a random guess, each expert is right as often as any expert is chosen. */
static struct row by_chance(const struct experts * x, const struct prediction * p, enum question q,
                            const struct total * any) {
    const double share = any->chance / (double) any->score.chosen;
    struct row row = { "random", "at random", share, share, 0, 0, any->score.rows };
    for (uint32_t i = 0; i < x->n_slots; i++) {
        const struct expert_layer * l = &x->layer[i];
        if (p->layer[i].score[q][MARKOV].rows == 0) { continue; }
        const double right = ratio(l->n_used, l->n_experts), bytes = l->n_used * (double) l->slice_bytes;
        row.right_bytes += right * bytes;
        row.wrong_bytes += (1 - right) * bytes;
    }
    return row;
}

static struct row by_method(enum method m, const struct total * t) {
    return (struct row){ method_keys[m],
                         method_names[m],
                         ratio(t->score.first, t->score.rows),
                         ratio(t->score.right, t->score.chosen),
                         t->right_bytes,
                         t->wrong_bytes,
                         t->score.rows };
}

static void show_totals(const struct experts * x, const struct prediction * p, struct result * r,
                        struct total total[QUESTIONS][METHODS]) {
    result_table(r, "prediction", "How well experts can be predicted", SHOW_ALWAYS, columns,
                 sizeof columns / sizeof columns[0]);
    for (enum question q = 0; q < QUESTIONS; q++) {
        const struct total * any = &total[q][MARKOV];
        if (any->score.rows == 0) { continue; }
        for (enum method m = 0; m < METHODS; m++) {
            if (total[q][m].score.rows == 0) { continue; }
            const struct row row = by_method(m, &total[q][m]);
            put_row(r, q, &row);
        }
        const struct row row = by_chance(x, p, q, any);
        put_row(r, q, &row);
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
    static const char question[] = "Can the experts be predicted?";
    const struct total * token = total[NEXT_TOKEN];
    enum method m;
    char share[4][UNITS_SIZE], bytes[2][UNITS_SIZE];
    if (token[MARKOV].score.rows == 0) {
        result_answer(r, question,
                      "Unknown: too few tokens follow each other to train on one half and test on the other.");
        return;
    }
    const char * name = better(token, &m);
    const struct total * t = &token[m];
    const double all = t->chance / (double) t->score.chosen;
    format_share(share[0], ratio(t->score.right, t->score.chosen));
    format_share(share[1], ratio(t->score.first, t->score.rows));
    format_share(share[2], all);
    format_bytes(bytes[0], mean_slice(x));
    format_bytes(bytes[1], (uint64_t) t->wrong_bytes);
    result_answer(
        r, question,
        "The best of three predictions (%s) gets %s of the next token's experts right, and its first guess is right %s "
        "of "
        "the time. A random guess gets %s. A wrong guess costs an expert's bytes, %s on average; that is %s per token.",
        name, share[0], share[1], share[2], bytes[0], bytes[1]);
    if (total[NEXT_LAYER][MARKOV].score.rows) {
        const struct score * s = &total[NEXT_LAYER][MARKOV].score;
        result_answer(r, "Do the experts of one layer predict those of the next?",
                      "A Markov chain from layer to layer gets %s of the next layer's experts right, and its first "
                      "guess is right %s "
                      "of the time. Always guessing the most frequent experts gets %s.",
                      format_share(share[0], ratio(s->right, s->chosen)),
                      format_share(share[1], ratio(s->first, s->rows)),
                      format_share(share[3], ratio(total[NEXT_LAYER][FREQUENT].score.right,
                                                   total[NEXT_LAYER][FREQUENT].score.chosen)));
    }
    result_note(
        r,
        "Predictions are trained on the first half of a context's tokens and tested on the second, with %s choices. A "
        "guess names as many experts as the layer uses, the most likely first. Right and wrong bytes: gate, up and "
        "down of the experts guessed rightly and wrongly, over all layers: what reading them ahead would bring in "
        "time, "
        "and in vain, if nothing were in memory yet.",
        format_count(share[0], token[MARKOV].score.rows));
    if (p->every[NEXT_TOKEN] > 1 || p->every[NEXT_LAYER] > 1) {
        result_note(r,
                    "The run is long: every %" PRIu64 "th choice of the next token and every %" PRIu64
                    "th of the next layer "
                    "was tested.",
                    p->every[NEXT_TOKEN], p->every[NEXT_LAYER]);
    }
}

void experts_show_scores(const struct experts * x, const struct prediction * p, struct result * r) {
    struct total total[QUESTIONS][METHODS] = { 0 };
    show_layers(x, p, r, total);
    show_totals(x, p, r, total);
    say(x, r, total, p);
}
