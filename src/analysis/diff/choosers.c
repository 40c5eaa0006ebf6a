/* SPDX-License-Identifier: MIT */
#include "analysis/diff/choosers.h"

#include <math.h>
#include <stdlib.h>

/* ---- the runs that count ---- */

static struct choosers choosers_of(const struct side * side) {
    struct choosers c = { .side = side };
    for (size_t i = 0; i < side->n; i++) {
        size_t like = 0;
        while (like < c.n && !profile_chose_alike(c.run[like], side->run[i])) { like++; }
        if (like < c.n) {
            c.copies++;
        } else {
            c.run[c.n++] = side->run[i];
        }
    }
    return c;
}

/* Small samples differ more by chance than large ones, so all halves get the size of the shortest run's. False: no
 * memory. */
static bool halve(struct choosing * c) {
    bool good = true;
    c->halves = UINT64_MAX;
    for (size_t s = 0; s < 2; s++) {
        for (size_t i = 0; i < c->side[s].n; i++) {
            const uint64_t tokens = profile_total(c->side[s].run[i], SCOPE_ALL).tokens;
            if (tokens / 2 < c->halves) { c->halves = tokens / 2; }
        }
    }
    for (size_t s = 0; s < 2; s++) {
        for (size_t i = 0; i < c->side[s].n && good; i++) { good = profile_halve(c->side[s].run[i], c->halves); }
    }
    return good;
}

/* ---- layers ---- */

static const struct choices * choices_of(const struct profile * p, uint32_t layer) {
    for (uint32_t i = 0; i < p->n_choices; i++) {
        if (p->choices[i].layer == layer) { return &p->choices[i]; }
    }
    return NULL;
}

/* False: no memory. */
static bool find_layer(const struct choosing * c, const struct choices * like, struct layer_pair * l) {
    const uint32_t n = like->n_experts;
    *l = (struct layer_pair){ .layer = like->layer, .n_experts = n, .n = { c->side[0].n, c->side[1].n } };
    l->sum[0] = calloc(2 * (size_t) n, sizeof *l->sum[0]);
    if (!l->sum[0]) { return false; }
    l->sum[1] = l->sum[0] + n;
    for (size_t s = 0, at = 0; s < 2; s++) {
        for (size_t i = 0; i < l->n[s]; i++, at++) {
            const struct choices * of = choices_of(c->side[s].run[i], l->layer);
            if (!of || of->n_experts != n) { continue; }
            l->of[at] = of;
            l->selections[s] += of->selections;
            for (uint32_t e = 0; e < n; e++) { l->sum[s][e] += of->all[e]; }
        }
    }
    return true;
}

struct mean {
    double sum;
    size_t n;
};

static void add_variation(struct mean * m, const uint64_t * a, const uint64_t * b, uint32_t n) {
    const double variation = distance_of(a, b, n).variation;
    if (isnan(variation)) { return; }
    m->sum += variation;
    m->n++;
}

static double value_of(struct mean m) {
    return m.n ? m.sum / (double) m.n : NAN;
}

/* Compares the halves of each run with each other, and each half of one side's runs with each of the other side's. */
static void compare_halves(struct layer_pair * l) {
    const size_t runs = l->n[0] + l->n[1];
    struct mean within = { 0 }, across = { 0 };
    for (size_t i = 0; i < runs; i++) {
        if (l->of[i]) { add_variation(&within, l->of[i]->half[0], l->of[i]->half[1], l->n_experts); }
        for (size_t j = l->n[0]; i < l->n[0] && l->of[i] && j < runs; j++) {
            for (size_t k = 0; k < 4 && l->of[j]; k++) {
                add_variation(&across, l->of[i]->half[k / 2], l->of[j]->half[k % 2], l->n_experts);
            }
        }
    }
    l->within = value_of(within);
    l->across = value_of(across);
}

/* How far the sides lie apart if the same runs are dealt to them another way. */
static double dealt_variation(uint64_t is_y, void * user) {
    const struct layer_pair * l = user;
    const size_t runs = l->n[0] + l->n[1];
    uint64_t total[2] = { 0 };
    double variation = 0;
    for (size_t i = 0; i < runs; i++) {
        if (l->of[i]) { total[is_y >> i & 1] += l->of[i]->selections; }
    }
    for (uint32_t e = 0; e < l->n_experts; e++) {
        uint64_t count[2] = { 0 };
        for (size_t i = 0; i < runs; i++) {
            if (l->of[i]) { count[is_y >> i & 1] += l->of[i]->all[e]; }
        }
        variation += fabs(ratio(count[0], total[0]) - ratio(count[1], total[1])) / 2;
    }
    return variation;
}

static double mean_dealt_variation(uint64_t is_y, void * user) {
    const struct choosing * c = user;
    double sum = 0;
    for (size_t i = 0; i < c->n_layers; i++) { sum += dealt_variation(is_y, &c->layers[i]); }
    return sum / (double) c->n_layers;
}

static void measure(struct layer_pair * l) {
    l->d = distance_of(l->sum[0], l->sum[1], l->n_experts);
    l->table = contingency_of(l->sum[0], 2, l->n_experts); /* the second side's counts follow the first's */
    compare_halves(l);
    l->test = permutation_test(l->n[0], l->n[1], dealt_variation, l);
    for (uint32_t e = 0; e < l->n_experts; e++) {
        const double change = ratio(l->sum[1][e], l->selections[1]) - ratio(l->sum[0][e], l->selections[0]);
        if (fabs(change) > fabs(l->most_change)) {
            l->most_change = change;
            l->most = e;
        }
    }
}

/* ---- both sides ---- */

static double or_zero(double value) {
    return isnan(value) ? 0 : value;
}

static void summarize(struct choosing * c) {
    const double n = (double) c->n_layers;
    for (size_t i = 0; i < c->n_layers; i++) {
        const struct layer_pair * l = &c->layers[i];
        c->variation += l->d.variation / n;
        c->cramer_v += l->table.v / n;
        c->across += or_zero(l->across) / n;
        c->within += or_zero(l->within) / n;
        if (l->d.variation <= c->widest) { continue; }
        c->widest = l->d.variation;
        c->widest_layer = l->layer;
    }
    c->test = (struct permutation){ NAN, NAN, false };
    if (c->n_layers) { c->test = permutation_test(c->side[0].n, c->side[1].n, mean_dealt_variation, c); }
}

bool choosing_compare(struct choosing * c, const struct side * a, const struct side * b) {
    *c = (struct choosing){ .side = { choosers_of(a), choosers_of(b) } };
    if (!halve(c)) { return false; }
    const struct profile *x = a->run[0], *y = b->run[0];
    c->layers = malloc(((size_t) x->n_choices + 1) * sizeof *c->layers);
    if (!c->layers) { return false; }
    for (uint32_t i = 0; i < x->n_choices; i++) {
        const struct choices * other = choices_of(y, x->choices[i].layer);
        struct layer_pair * l = &c->layers[c->n_layers];
        if (!other || other->n_experts != x->choices[i].n_experts) {
            c->unlike++;
            continue;
        }
        if (!find_layer(c, other, l)) { return false; }
        measure(l);
        if (isnan(l->d.variation)) { /* a side chose no expert */
            c->unlike += l->selections[0] || l->selections[1];
            free(l->sum[0]);
        } else {
            c->n_layers++;
        }
    }
    for (uint32_t i = 0; i < y->n_choices; i++) { c->unlike += !choices_of(x, y->choices[i].layer); }
    summarize(c);
    return true;
}

void choosing_free(struct choosing * c) {
    for (size_t i = 0; i < c->n_layers; i++) { free(c->layers[i].sum[0]); }
    free(c->layers);
}
