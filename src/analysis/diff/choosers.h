/* SPDX-License-Identifier: MIT
 * What two sides chose, layer by layer. Repeats of a greedy run route every token alike. They are one sample, so all
 * but the first are left out.
 */
#ifndef TAT_ANALYSIS_DIFF_CHOOSERS_H
#define TAT_ANALYSIS_DIFF_CHOOSERS_H

#include "analysis/contingency.h"
#include "analysis/diff/diff.h"
#include "analysis/diff/permutation.h"
#include "analysis/diff/statistics.h"

struct choosers {
    const struct side * side;
    struct profile * run[TAT_DIFF_MOST];
    size_t n, copies; /* runs that count, and those left out */
};

/* A layer that both sides have, with the same number of experts. */
struct layer_pair {
    uint32_t layer, n_experts;
    const struct choices * of[2 * TAT_DIFF_MOST]; /* by run, first those of the first side; NULL: no choices */
    size_t n[2];
    uint64_t * sum[2]; /* by expert, over all runs of a side; one allocation */
    uint64_t selections[2];
    struct distance d;
    struct contingency table;
    double across, within; /* mean variation between halves: of runs of both sides, and of one run */
    struct permutation test;
    uint32_t most; /* the expert whose share changed most */
    double most_change;
};

struct choosing {
    struct choosers side[2];
    struct layer_pair * layers;
    size_t n_layers, unlike; /* unlike: in one side only, or with another number of experts */
    uint64_t halves;         /* tokens in a half, the same for every run */
    /* Means over the layers, and the widest of them. */
    double variation, across, within, cramer_v, widest;
    uint32_t widest_layer;
    struct permutation test; /* of the mean variation */
};

/* False: no memory. Free it in either case. */
bool choosing_compare(struct choosing * c, const struct side * a, const struct side * b);
void choosing_free(struct choosing * c);

#endif
