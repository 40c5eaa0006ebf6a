/* SPDX-License-Identifier: MIT
 *
 * A set of bytes, as ranges; and a hash of it, so that two can be compared without keeping them.
 */
#ifndef TAT_TEST_RANGES_H
#define TAT_TEST_RANGES_H

#include <stdint.h>
#include <stdlib.h>

struct range {
    uint64_t from, to;
};

struct ranges {
    struct range * range;
    size_t count, capacity;
};

static inline void ranges_add(struct ranges * r, uint64_t from, uint64_t bytes) {
    if (bytes == 0) { return; }
    if (r->count == r->capacity) {
        r->capacity = r->capacity ? r->capacity * 2 : 1024;
        r->range = realloc(r->range, r->capacity * sizeof r->range[0]);
        if (!r->range) { abort(); }
    }
    r->range[r->count++] = (struct range){ from, from + bytes };
}

static inline int ranges_order(const void * a, const void * b) {
    const uint64_t x = ((const struct range *) a)->from, y = ((const struct range *) b)->from;
    return (x > y) - (x < y);
}

/* Sorts, and joins what overlaps or touches. */
static inline void ranges_merge(struct ranges * r) {
    if (r->count == 0) { return; }
    qsort(r->range, r->count, sizeof r->range[0], ranges_order);
    size_t last = 0;
    for (size_t i = 1; i < r->count; i++) {
        if (r->range[i].from > r->range[last].to) {
            r->range[++last] = r->range[i];
        } else if (r->range[i].to > r->range[last].to) {
            r->range[last].to = r->range[i].to;
        }
    }
    r->count = last + 1;
}

static inline uint64_t ranges_bytes(const struct ranges * r) {
    uint64_t bytes = 0;
    for (size_t i = 0; i < r->count; i++) { bytes += r->range[i].to - r->range[i].from; }
    return bytes;
}

/* FNV-1a over the words. */
static inline uint64_t ranges_hash(const struct ranges * r) {
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < r->count; i++) {
        hash = (hash ^ r->range[i].from) * 0x100000001b3u;
        hash = (hash ^ r->range[i].to) * 0x100000001b3u;
    }
    return hash;
}

#endif
