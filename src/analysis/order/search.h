/* SPDX-License-Identifier: MIT
 *
 * The order of operations with the smallest gaps among those that dependencies allow.
 *
 * A graph falls into blocks, one after the other: all of a block must come before all of the next. Within a block every
 * legal order is tried, by subsets (Held and Karp, 1962, for the travelling salesman), from every end that the block
 * before may have; so the best order of the whole is exact, as long as no block is too large.
 */
#ifndef TAT_ANALYSIS_ORDER_SEARCH_H
#define TAT_ANALYSIS_ORDER_SEARCH_H

#include "analysis/order/depend.h"

enum {
    SEARCH_BLOCK = 10,     /* operations of a block that is searched; in a larger block, the nearest comes next */
    SEARCH_WORK = 1 << 26, /* steps of all searches; beyond them, the nearest comes next too */
};

/* An operation: where its reads begin and end, and the distance within them. */
struct element {
    uint64_t from, end, within;
};

static inline uint64_t distance(uint64_t from, uint64_t to) {
    return from < to ? to - from : from - to;
}

struct search_result {
    uint64_t best; /* distance */
    uint64_t blocks, largest_block;
    bool exact;
};

/* `work`: counts the steps of all searches. False: no memory. */
bool search_orders(const struct element * elements, const struct depend * depend, uint64_t * work,
                   struct search_result * result);

#endif
