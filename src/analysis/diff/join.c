/* SPDX-License-Identifier: MIT */
#include "analysis/diff/join.h"

#include <math.h>
#include <stdlib.h>

struct found {
    const struct touched * t;
    const struct profile * run;
    size_t side, index; /* the run's number in its side */
};

static int by_tensor(const void * a, const void * b) {
    const struct found *x = a, *y = b;
    const int order = touched_order(x->t, y->t);
    return order                ? order
           : x->side != y->side ? (x->side < y->side ? -1 : 1)
                                : (x->index > y->index) - (x->index < y->index);
}

static void join_one(const struct diff * d, const struct comparison * c, const struct found * found, size_t n,
                     struct joined * j) {
    double ns[SIDES][TAT_DIFF_MOST] = { { 0 } };
    *j = (struct joined){ .t = found[0].t };
    for (size_t i = 0; i < n; i++) {
        const struct found * f = &found[i];
        const struct use * use = &f->t->use[d->scope];
        const double tokens = fmax((double) profile_total(f->run, d->scope).tokens, 1);
        const double runs = (double) c->side[f->side]->n;
        j->has[f->side] = true;
        j->mean[MEASURED_ACCESSES][f->side] += use->accesses / tokens / runs;
        j->mean[MEASURED_BYTES][f->side] += use->bytes / tokens / runs;
        j->mean[MEASURED_NS][f->side] += use->ns / tokens / runs;
        ns[f->side][f->index] = use->ns / tokens;
    }
    j->ns = mean_difference(ns[0], c->side[0]->n, ns[1], c->side[1]->n);
}

bool diff_join(const struct diff * d, struct comparison * c) {
    size_t n = 0, count = 0;
    for (size_t s = 0; s < SIDES; s++) {
        for (size_t i = 0; i < c->side[s]->n; i++) { n += c->side[s]->run[i]->n_tensors; }
    }
    struct found * found = malloc((n + 1) * sizeof *found);
    c->all = malloc((n + 1) * sizeof *c->all);
    if (!found || !c->all) {
        free(found);
        return false;
    }
    for (size_t s = 0; s < SIDES; s++) {
        for (size_t i = 0; i < c->side[s]->n; i++) {
            const struct profile * run = c->side[s]->run[i];
            for (uint32_t t = 0; t < run->n_tensors; t++) {
                found[count++] = (struct found){ &run->tensors[t], run, s, i };
            }
        }
    }
    qsort(found, n, sizeof *found, by_tensor);
    for (size_t first = 0, end; first < n; first = end) {
        for (end = first + 1; end < n && touched_order(found[first].t, found[end].t) == 0; end++) {}
        join_one(d, c, &found[first], end - first, &c->all[c->n++]);
    }
    free(found);
    return true;
}
