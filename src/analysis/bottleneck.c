/* SPDX-License-Identifier: MIT */
#include "analysis/bottleneck.h"

#include <stdlib.h>

static uint64_t time_of(const struct token_times * t, uint32_t token, uint32_t column) {
    return t->ns[(size_t) token * t->columns + column];
}

/* Sums by column. NULL: memory. */
static uint64_t * sums_of(const struct token_times * t, uint32_t columns) {
    uint64_t * sums = calloc((size_t) columns + 1, sizeof *sums);
    for (uint32_t i = 0; sums && i < t->n; i++) {
        for (uint32_t c = 0; c < columns; c++) { sums[c] += time_of(t, i, c); }
    }
    return sums;
}

/* ---- the rule ---- */

static int by_size(const void * a, const void * b) {
    const double x = *(const double *) a, y = *(const double *) b;
    return x < y ? -1 : x > y;
}

/* Sorts. */
static double median(double * values, uint32_t n) {
    qsort(values, n, sizeof *values, by_size);
    return n ? values[(n - 1) / 2] : 0;
}

/* A fair coin gives as many of `n` or more with a chance of less than 5 %. */
static bool passes(uint32_t slow, uint32_t n) {
    double chance = 0, way = 1; /* of n throws, k */
    for (uint32_t k = 0; k <= n; k++) {
        if (k >= slow) { chance += way; }
        way = way * (n - k) / (k + 1);
    }
    for (uint32_t i = 0; i < n; i++) { chance /= 2; }
    return n && chance < 0.05;
}

/* `ratios`, in the order of tokens, are sorted in pieces. */
static void judge(struct standing * s, double * ratios, uint32_t n) {
    s->parts = n < PARTS_OF_RUN ? n : PARTS_OF_RUN;
    for (uint32_t p = 0; p < s->parts; p++) {
        const uint32_t from = (uint32_t) ((uint64_t) n * p / s->parts);
        const uint32_t to = (uint32_t) ((uint64_t) n * (p + 1) / s->parts);
        s->slow += median(ratios + from, to - from) >= BOTTLENECK_FACTOR;
    }
    s->times = median(ratios, n);
    s->is_bottleneck = s->times >= BOTTLENECK_FACTOR && passes(s->slow, s->parts);
}

/* Those whose slowness is more than chance stand before the others. */
static int slowest_first(const void * a, const void * b) {
    const struct standing *x = a, *y = b;
    if (x->is_bottleneck != y->is_bottleneck) { return x->is_bottleneck ? -1 : 1; }
    if (x->times != y->times) { return x->times < y->times ? 1 : -1; }
    if (x->sum_ns != y->sum_ns) { return x->sum_ns < y->sum_ns ? 1 : -1; }
    return x->column < y->column ? -1 : x->column > y->column;
}

/* By token, that of the median column. `row` holds as many values as there are columns. */
static void find_typical(const struct token_times * t, const struct standing * s, uint32_t n, uint64_t * row,
                         uint64_t * typical) {
    for (uint32_t i = 0; i < t->n; i++) {
        for (uint32_t c = 0; c < n; c++) { row[c] = time_of(t, i, s[c].column); }
        qsort(row, n, sizeof *row, by_value);
        typical[i] = percentile(row, n, 50);
    }
}

struct standing * standings_of(const struct token_times * t, uint32_t columns, uint32_t * n) {
    uint64_t *sums = sums_of(t, columns), *row = malloc(((size_t) columns + 1) * sizeof *row);
    uint64_t * typical = malloc(((size_t) t->n + 1) * sizeof *typical);
    double * ratios = malloc(((size_t) t->n + 1) * sizeof *ratios);
    struct standing * s = calloc((size_t) columns + 1, sizeof *s);
    const bool good = sums && row && typical && ratios && s;
    *n = 0;
    for (uint32_t c = 0; good && c < columns; c++) {
        if (sums[c]) { s[(*n)++].column = c; }
    }
    if (good) { find_typical(t, s, *n, row, typical); }
    for (uint32_t k = 0; k < *n; k++) {
        for (uint32_t i = 0; i < t->n; i++) {
            ratios[i] = typical[i] ? (double) time_of(t, i, s[k].column) / (double) typical[i] : 1;
        }
        judge(&s[k], ratios, t->n);
        s[k].sum_ns = sums[s[k].column];
    }
    if (good) { qsort(s, *n, sizeof *s, slowest_first); }
    free(sums);
    free(row);
    free(typical);
    free(ratios);
    if (good) { return s; }
    free(s);
    return NULL;
}

/* ---- sums ---- */

static int largest_first(const void * a, const void * b) {
    const double x = *(const double *) a, y = *(const double *) b;
    return x < y ? 1 : x > y ? -1 : 0;
}

bool excess_of(const struct token_times * t, uint32_t columns, struct excess * x) {
    uint64_t *sums = sums_of(t, columns), all = 0;
    double *over = malloc(((size_t) t->n + 1) * sizeof *over), total = 0, half = 0;
    uint32_t used = 0;
    const bool good = sums && over;
    *x = (struct excess){ 0 };
    for (uint32_t c = 0; good && c < columns; c++) {
        all += sums[c];
        used += sums[c] > 0;
        if (sums[c] > sums[x->column]) { x->column = c; }
    }
    if (good && all) { x->times = (double) sums[x->column] / ((double) all / used); }
    for (uint32_t i = 0; good && i < t->n && used; i++) {
        uint64_t row = 0;
        for (uint32_t c = 0; c < columns; c++) { row += time_of(t, i, c); }
        over[i] = (double) time_of(t, i, x->column) * used - (double) row; /* whole numbers */
        total += over[i];
    }
    if (good) { qsort(over, used ? t->n : 0, sizeof *over, largest_first); }
    for (uint32_t i = 0; good && total > 0 && i < t->n && half < total / 2; i++, x->tokens++) { half += over[i]; }
    free(sums);
    free(over);
    return good;
}
