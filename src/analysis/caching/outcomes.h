/* SPDX-License-Identifier: MIT
 *
 * What each strategy reads of a string of references, at each size of cache: all policies, then Belady's MIN, which
 * knows the future. All keep the same items by the same rules: a first read is never saved, what is read need not be
 * kept.
 */
#ifndef TAT_ANALYSIS_CACHING_OUTCOMES_H
#define TAT_ANALYSIS_CACHING_OUTCOMES_H

#include "analysis/caching/cache_string.h"

enum {
    PARTS = 32,    /* the weights in so many equal parts: the last size holds all */
    GIVEN = PARTS, /* and the size that was asked for */
    SIZES = PARTS + 1,
    STRATEGIES_MAX = 32,
};

struct outcomes {
    const struct cache_string * string;
    uint64_t capacity[SIZES]; /* bytes; 0: not asked for */
    unsigned n_strategies;    /* MIN is the last */
    struct again again[STRATEGIES_MAX][SIZES];
};

/* Simulates; `string` must outlive it. False: memory. */
bool outcomes_find(struct outcomes * o, const struct cache_string * string, uint64_t weight_bytes, uint64_t given);

/* One policy in a cache of one size. False: memory. */
bool simulate(const struct cache_string * s, const struct policy_kind * kind, uint64_t capacity, struct again * again);

#endif
