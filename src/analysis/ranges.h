/* SPDX-License-Identifier: MIT
 *
 * A set of bytes, as the union of ranges. What was added before costs one look-up, so that evaluations that repeat each
 * other cost little.
 */
#ifndef TAT_ANALYSIS_RANGES_H
#define TAT_ANALYSIS_RANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* `count` runs of `bytes` bytes, each `stride` bytes after the one before. */
struct range {
    uint64_t space; /* offsets of different spaces never meet */
    uint64_t from, bytes, stride, count;
};

/* From its first byte to its last. */
static inline uint64_t range_extent(const struct range * r) {
    return r->bytes + r->stride * (r->count - 1);
}

struct ranges {
    struct range * slot; /* a hash table; empty where count is 0 */
    size_t count, capacity;
    bool failed; /* no memory */
};

void ranges_add(struct ranges * set, struct range range);
/* Returns the bytes in the set, empties it and frees its memory. */
uint64_t ranges_total(struct ranges * set);
/* The same, and tells the bytes of each space that has any. */
void ranges_each(struct ranges * set, void (*sink)(uint64_t space, uint64_t bytes, void * user), void * user);

#endif
