/* SPDX-License-Identifier: MIT
 *
 * Belady's MIN (A study of replacement algorithms for a virtual-storage computer, IBM Systems Journal 1966) by the
 * rules of the policies beside it: what was just read may be passed by, and an item may be kept in part. No policy
 * reads less.
 */
#ifndef TAT_ANALYSIS_CACHING_BOUND_H
#define TAT_ANALYSIS_CACHING_BOUND_H

#include "analysis/caching/cache_string.h"
#include "policy/heap.h"

struct bound {
    const struct cache_string * string;
    uint32_t * next;    /* by read: the next one of its item */
    uint8_t * facts;    /* by read */
    uint64_t * held;    /* by item: bytes of it in the cache */
    uint64_t * aside;   /* by item: likewise, for generated tokens, while `held` is for all */
    struct heap latest; /* of items held, in part or whole, the one needed latest first */
    uint32_t * later;   /* by item: its first read from `settled` on */
    uint32_t settled;   /* behind the last read that is not of a generated token */
    uint64_t used;
};

/* `string` must outlive it. False: memory. End it in either case. */
bool bound_begin(struct bound * b, const struct cache_string * string);
void bound_end(struct bound * b);

/* The least that a cache of `capacity` bytes reads again: by all, and by generated tokens alone, which different
 * choices may reach. */
struct again bound_find(struct bound * b, uint64_t capacity);

#endif
