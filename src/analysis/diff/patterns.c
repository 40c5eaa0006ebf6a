/* SPDX-License-Identifier: MIT
 *
 * Three runs or more: what holds in all of them, across prompts and models. Every run against every other.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/diff/diff.h"
#include "analysis/diff/statistics.h"
#include "analysis/units.h"

enum measure { BY_NAME_ACCESSES, BY_NAME_TIME, BY_DEPTH_READS, BY_DEPTH_TIME, EXPERT_VARIATION, MEASURES };

static const struct {
    const char * key;
    const char * label;
    const char * text;
} measures[MEASURES] = {
    { "hotness_by_name", "accesses", "Hot weights, by accesses" },
    { "time_by_name", "time", "Slow weights, by time" },
    { "hotness_by_depth", "reads by depth", "Hot parts of the model by component and depth, by reads of a byte" },
    { "time_by_depth", "time by depth", "Slow parts of the model by component and depth, by time" },
    { "expert_variation", "experts' dist.", "Expert use" },
};

struct pair {
    size_t a, b;
    double value[MEASURES];
    struct order_match order;
    bool same_model;
};

/* ---- by its name ---- */

struct points {
    double * x;
    double * y;
    size_t n;
};

static void add_point(struct points * p, double x, double y) {
    p->x[p->n] = x;
    p->y[p->n++] = y;
}

static void add_weight(struct points * p, enum measure m, const struct profile * a, const struct touched * x,
                       const struct profile * b, const struct touched * y) {
    if (m == BY_NAME_TIME) {
        add_point(p, x->use[SCOPE_ALL].ns, y->use[SCOPE_ALL].ns);
        return;
    }
    if (x->n_slices != y->n_slices) { return; }
    for (uint32_t i = 0; i < x->n_slices; i++) {
        add_point(p, (double) a->slice_accesses[x->first_slice + i], (double) b->slice_accesses[y->first_slice + i]);
    }
}

static double by_name(const struct profile * a, const struct profile * b, enum measure m) {
    const size_t most = a->slices.count + 1;
    struct points p = { malloc(most * sizeof *p.x), malloc(most * sizeof *p.y), 0 };
    double rho = NAN;
    for (uint32_t i = 0, j = 0; p.x && p.y && i < a->n_tensors && j < b->n_tensors;) {
        const struct touched *x = &a->tensors[i], *y = &b->tensors[j];
        const int order = touched_order(x, y);
        i += order <= 0;
        j += order >= 0;
        if (order == 0 && x->kind == TAT_TENSOR_WEIGHT) { add_weight(&p, m, a, x, b, y); }
    }
    if (p.n) { rho = spearman(p.x, p.y, p.n); }
    free(p.x);
    free(p.y);
    return rho;
}

/* ---- by its component and its depth ---- */

enum { DEPTHS = 10, PLACES = TAT_COMPONENT_COUNT * (DEPTHS + 1) }; /* tenths of the layers, and one for no layer */

struct place {
    double size, bytes, ns;
};

static void find_places(const struct profile * p, struct place places[static PLACES]) {
    uint32_t layers = 0;
    for (uint32_t i = 0; i < p->n_tensors; i++) {
        const uint16_t layer = p->tensors[i].layer;
        if (layer != TAT_NO_LAYER && layer >= layers) { layers = layer + 1u; }
    }
    for (uint32_t i = 0; i < p->n_tensors; i++) {
        const struct touched * t = &p->tensors[i];
        if (t->kind != TAT_TENSOR_WEIGHT || (unsigned) t->component >= TAT_COMPONENT_COUNT) { continue; }
        const uint32_t depth = t->layer == TAT_NO_LAYER ? DEPTHS : t->layer * DEPTHS / layers;
        struct place * place = &places[(unsigned) t->component * (DEPTHS + 1) + depth];
        place->size += (double) t->size;
        place->bytes += t->use[SCOPE_ALL].bytes;
        place->ns += t->use[SCOPE_ALL].ns;
    }
}

static double by_depth(const struct profile * a, const struct profile * b, enum measure m) {
    struct place places[2][PLACES] = { 0 };
    double x[PLACES], y[PLACES];
    size_t n = 0;
    find_places(a, places[0]);
    find_places(b, places[1]);
    for (size_t i = 0; i < PLACES; i++) {
        const struct place *p = &places[0][i], *q = &places[1][i];
        if (p->size <= 0 || q->size <= 0) { continue; }
        x[n] = m == BY_DEPTH_TIME ? p->ns : p->bytes / p->size;
        y[n++] = m == BY_DEPTH_TIME ? q->ns : q->bytes / q->size;
    }
    return spearman(x, y, n);
}

/* ---- pairs ---- */

static struct pair measure(const struct diff * d, size_t a, size_t b) {
    const struct profile *p = &d->run[a], *q = &d->run[b];
    struct pair pair = { .a = a, .b = b, .same_model = p->model_hash == q->model_hash };
    pair.order = order_match(p, q);
    for (enum measure m = BY_NAME_ACCESSES; m <= BY_NAME_TIME; m++) { pair.value[m] = by_name(p, q, m); }
    for (enum measure m = BY_DEPTH_READS; m <= BY_DEPTH_TIME; m++) { pair.value[m] = by_depth(p, q, m); }
    pair.value[EXPERT_VARIATION] = choices_variation(p, q);
    return pair;
}

static bool is_identical(const struct pair * p) {
    return p->order.tokens && p->order.weights == p->order.tokens;
}

static void add_pairs(const struct diff * d, struct result * r, const struct pair * pairs, size_t n) {
    struct result_column columns[MEASURES + 3] = { { "from", "", UNIT_TEXT }, { "to", "", UNIT_TEXT } };
    for (size_t m = 0; m < MEASURES; m++) {
        columns[m + 2] = (struct result_column){ measures[m].key, measures[m].label,
                                                 m == EXPERT_VARIATION ? UNIT_SHARE : UNIT_CORRELATION };
    }
    columns[MEASURES + 2] = (struct result_column){ "order", "same order", UNIT_TEXT };
    result_table(r, "pairs", "Rank correlation of hotness, distance of expert use, and order, pair by pair",
                 n > 21 ? SHOW_ASKED : SHOW_ALWAYS, columns, MEASURES + 3);
    for (size_t i = 0; i < n; i++) {
        const struct pair * p = &pairs[i];
        json_t * row = result_row(r);
        result_put_text(r, row, "from", d->run[p->a].label);
        result_put_text(r, row, "to", d->run[p->b].label);
        result_put(r, row, "same_model", json_boolean(p->same_model));
        for (size_t m = 0; m < MEASURES; m++) { result_put_real(r, row, measures[m].key, p->value[m]); }
        result_put_text(r, row, "order", p->order.tokens == 0 ? "" : is_identical(p) ? "yes" : "no");
    }
}

static json_t * number(double value) {
    return isfinite(value) ? json_real(value) : json_null();
}

/* Writes runs against runs, in both directions and in their order. */
static void add_matrix(const struct diff * d, struct result * r, json_t * matrices, const char * key, double diagonal,
                       double (*value)(const struct pair *, size_t), size_t m, const struct pair * pairs) {
    json_t * matrix = json_array();
    for (size_t i = 0; i < d->n_runs; i++) {
        json_t * row = json_array();
        for (size_t j = 0; j < d->n_runs; j++) {
            const size_t low = i < j ? i : j, high = i < j ? j : i;
            /* Pairs are stored row by row above the diagonal. */
            const size_t at = low * d->n_runs - low * (low + 1) / 2 + high - low - 1;
            json_array_append_new(row, number(i == j ? diagonal : value(&pairs[at], m)));
        }
        json_array_append_new(matrix, row);
    }
    result_put(r, matrices, key, matrix);
}

static double value_of(const struct pair * p, size_t m) {
    return p->value[m];
}

static double order_of(const struct pair * p, size_t m) {
    (void) m;
    return p->order.tokens ? is_identical(p) : NAN;
}

static void add_matrices(const struct diff * d, struct result * r, const struct pair * pairs) {
    json_t * matrices = json_object();
    json_t * labels = json_array();
    for (size_t i = 0; i < d->n_runs; i++) { json_array_append_new(labels, json_string(d->run[i].label)); }
    result_put(r, matrices, "runs", labels);
    for (size_t m = 0; m < MEASURES; m++) {
        add_matrix(d, r, matrices, measures[m].key, m == EXPERT_VARIATION ? 0 : 1, value_of, m, pairs);
    }
    add_matrix(d, r, matrices, "identical_order", 1, order_of, 0, pairs);
    result_put(r, result_values(r), "matrices", matrices);
}

/* ---- words ---- */

struct extent {
    double low, high;
    size_t n;
};

static struct extent extent_of(const struct pair * pairs, size_t n, size_t m) {
    struct extent e = { INFINITY, -INFINITY, 0 };
    for (size_t i = 0; i < n; i++) {
        if (isnan(pairs[i].value[m])) { continue; }
        e.low = fmin(e.low, pairs[i].value[m]);
        e.high = fmax(e.high, pairs[i].value[m]);
        e.n++;
    }
    return e;
}

enum { RANGE = 2 * UNITS_SIZE + sizeof " to " };

/* "+0.62 to +0.85", or one number if both read the same. */
static const char * range_of(char text[static RANGE], struct extent e, bool share) {
    char low[UNITS_SIZE], high[UNITS_SIZE];
    snprintf(low, sizeof low, "%+.2f", e.low);
    snprintf(high, sizeof high, "%+.2f", e.high);
    if (share) {
        format_share(low, e.low);
        format_share(high, e.high);
    }
    if (strcmp(low, high) == 0) {
        snprintf(text, RANGE, "%s", low);
    } else {
        snprintf(text, RANGE, "%s to %s", low, high);
    }
    return text;
}

static void say_measure(struct result * r, const struct pair * pairs, size_t n, size_t m) {
    const struct extent e = extent_of(pairs, n, m);
    char range[RANGE];
    if (m == EXPERT_VARIATION) {
        if (!e.n) { return; }
        result_line(r, "experts", "%s: total variation %s, in %zu of %zu pairs.", measures[m].text,
                    range_of(range, e, true), e.n, n);
    } else if (!e.n) {
        result_line(r, "hotness", "%s: no rank to compare, all tie.", measures[m].text);
    } else {
        result_line(r, m == BY_NAME_TIME || m == BY_DEPTH_TIME ? "time" : "hotness",
                    "%s: rank correlation %s, in %zu of %zu pairs%s.", measures[m].text, range_of(range, e, false), e.n,
                    n, e.n < n ? "; in the others all tie, or there is nothing in common" : "");
    }
}

static const char * strength(double low) {
    return low >= 0.7   ? "rank alike in all of them"
           : low >= 0.3 ? "rank alike to some degree"
                        : "do not rank alike in all";
}

static void say(const struct diff * d, struct result * r, const struct pair * pairs, size_t n) {
    const struct extent hot = extent_of(pairs, n, BY_NAME_ACCESSES);
    size_t compared = 0, identical = 0, models = 0;
    for (size_t i = 0; i < n; i++) {
        compared += pairs[i].order.tokens > 0;
        identical += is_identical(&pairs[i]);
    }
    for (size_t i = 0; i < d->n_runs; i++) {
        size_t first = 0;
        while (d->run[first].model_hash != d->run[i].model_hash) { first++; }
        models += first == i;
    }
    char begin[160], range[RANGE];
    snprintf(
        begin, sizeof begin,
        "%zu runs of %zu model%s: weights are read in the identical order in %zu of %zu pairs that can be compared",
        d->n_runs, models, models == 1 ? "" : "s", identical, compared);
    if (hot.n) {
        result_headline(r, "%s; hot weights %s (Spearman's %s).", begin, strength(hot.low),
                        range_of(range, hot, false));
    } else {
        result_headline(r, "%s; by accesses no weight is hotter than others.", begin);
    }
    for (size_t m = 0; m < MEASURES; m++) { say_measure(r, pairs, n, m); }
    result_note(r,
                "Rank correlation is Spearman's, ties at their mean rank: 1 the same ranking, 0 none in common, -1 the "
                "reverse; empty where all tie. By name: weights of both runs with the same name, experts one by one. "
                "By depth: parts of the model in tenths of the layers, which different models have too.");
}

static void answer(const struct diff * d, struct result * r) {
    const size_t n = d->n_runs * (d->n_runs - 1) / 2;
    struct pair * pairs = d->n_runs > 2 ? calloc(n, sizeof *pairs) : NULL;
    size_t at = 0;
    if (d->n_runs < 3) {
        result_headline(r, "Patterns take three runs or more.");
        result_absent(r);
        return;
    }
    r->failed |= !pairs;
    if (!pairs) { return; }
    for (size_t a = 0; a < d->n_runs; a++) {
        for (size_t b = a + 1; b < d->n_runs; b++) { pairs[at++] = measure(d, a, b); }
    }
    say(d, r, pairs, n);
    add_pairs(d, r, pairs, n);
    add_matrices(d, r, pairs);
    free(pairs);
}

const struct diff_section diff_patterns = { "patterns", "Patterns", answer };
