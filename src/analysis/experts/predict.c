/* SPDX-License-Identifier: MIT
 *
 * How well the experts of the next token (in the same layer), and of the next layer (for the same token), are
 * predicted: trained on the first half of each context's tokens, tested on the second. A guess is as many experts as
 * the layer uses.
 */
#include <stdlib.h>
#include <string.h>

#include "analysis/experts/predict.h"

enum { WORK_MOST = 1 << 27 /* cells of matrices that tests may read, for each of the two questions */ };

/* ---- guess ---- */

/* The k experts with most points; of equal ones those chosen more often in training, then the lower number. Returns how
 * many were found. */
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

/* What follows each of the experts before, averaged over them: a row of the matrix is a distribution. */
static void add_points(double * points, const uint32_t * cells, const uint64_t * all, uint32_t n,
                       const uint32_t * before, uint32_t n_before, uint32_t n_rows) {
    memset(points, 0, n * sizeof *points);
    for (uint32_t i = 0; i < n_before; i++) {
        if (before[i] >= n_rows || all[before[i]] == 0) { continue; }
        const uint32_t * row = cells + (size_t) before[i] * n;
        const double total = (double) all[before[i]];
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
    struct tested * t = &p->layer[l - x->layer];
    uint32_t guess[EXPERT_USED_MAX];
    const uint32_t * before = q == NEXT_TOKEN ? l->last : row->above;
    const uint32_t n_before = q == NEXT_TOKEN ? l->n_last : row->n_above;
    const uint32_t * cells = q == NEXT_TOKEN ? l->trained : l->down;
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
    struct experts * x;
    struct prediction * p;
};

static void test(const struct routed * routed, void * user) {
    struct second_pass * s = user;
    experts_each_row(s->x, routed, test_row, s->p);
}

/* ---- preparation ---- */

static uint64_t * totals(struct prediction * p, const uint32_t * cells, uint32_t rows, uint32_t columns) {
    uint64_t * all = calloc(rows, sizeof *all);
    p->failed |= !all;
    for (size_t i = 0; all && i < (size_t) rows * columns; i++) { all[i / columns] += cells[i]; }
    return all;
}

static void prepare_layer(const struct experts * x, struct prediction * p, uint32_t number) {
    const struct expert_layer * l = &x->layer[number];
    struct tested * t = &p->layer[number];
    if (!l->trained) { return; }
    t->from = totals(p, l->trained, l->n_experts, l->n_experts);
    t->frequent = calloc(EXPERT_USED_MAX, sizeof *t->frequent);
    p->failed |= !t->frequent;
    if (l->down) { t->from_above = totals(p, l->down, x->layer[l->above].n_experts, l->n_experts); }
    memset(p->points, 0, l->n_experts * sizeof *p->points);
    if (t->frequent) { best(l, p->points, l->n_used, t->frequent); }
}

/* One row in this many is tried, so that a long run of many experts takes no longer than a second. */
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
    struct prediction * p = calloc(1, sizeof *p);
    uint32_t most = 1;
    if (!p) { return NULL; }
    p->layer = calloc((size_t) x->n_slots + 1, sizeof *p->layer);
    for (uint32_t i = 0; i < x->n_slots; i++) {
        if (x->layer[i].n_experts > most) { most = x->layer[i].n_experts; }
        x->layer[i].has_last = false;
    }
    p->points = calloc(most, sizeof *p->points);
    p->every[NEXT_TOKEN] = every(x, NEXT_TOKEN);
    p->every[NEXT_LAYER] = every(x, NEXT_LAYER);
    p->failed = !p->layer || !p->points;
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

void experts_show_prediction(struct experts * x, struct result * r) {
    struct prediction * p = prediction_new(x);
    struct second_pass pass = { x, p };
    x->failed |= !p || p->failed || !routed_each(x->subject, test, &pass, NULL);
    if (!x->failed) { experts_show_scores(x, p, r); }
    prediction_free(x, p);
}
