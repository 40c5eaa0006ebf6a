/* SPDX-License-Identifier: MIT
 *
 * Reuse distances: the bytes of the different items accessed since an item's last access, itself included; so a cache
 * of that size under LRU would just have held it, if items can be held in part. Olken's algorithm (Efficient methods
 * for calculating the success function of fixed-space replacement policies, LBL-12370, 1981) with a Fenwick tree: O(log
 * n).
 */
#ifndef TAT_ANALYSIS_CACHING_RECENCY_H
#define TAT_ANALYSIS_CACHING_RECENCY_H

#include <stdbool.h>
#include <stdint.h>

#define NEVER_BEFORE UINT64_MAX

struct recency {
    const uint64_t * bytes; /* by item; NULL: each counts 1 */
    uint32_t * slot;        /* by item: 1 + its place in the order of last accesses; 0: none yet */
    uint32_t * item_at;     /* by place; n_items: an access that was not the last of its item */
    uint64_t * tree;        /* Fenwick: sums of the bytes whose last access is at a place */
    uint32_t n_items, n_places, next;
};

/* `bytes` must outlive it. False: memory. End it in either case. */
bool recency_begin(struct recency * r, uint32_t n_items, const uint64_t * bytes);
void recency_end(struct recency * r);

/* An access: its reuse distance, or NEVER_BEFORE. */
uint64_t recency_access(struct recency * r, uint32_t item);

#endif
