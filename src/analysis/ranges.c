/* SPDX-License-Identifier: MIT */
#include "analysis/ranges.h"

#include <stdlib.h>
#include <string.h>

/* The most runs that are united one by one. Beyond that, which no real trace reaches, a strided range counts as a
 * whole. */
enum { RUNS_MAX = 1 << 24 };

static uint64_t hash(const struct range * r) {
    const uint64_t words[] = { r->space, r->from, r->bytes, r->stride, r->count };
    uint64_t h = 0;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        h = (h ^ words[i]) * 0xd6e8feb86659fd93u;
        h ^= h >> 32;
    }
    return h;
}

static struct range * slot_of(const struct ranges * set, const struct range * r) {
    size_t i = hash(r) & (set->capacity - 1);
    while (set->slot[i].count && memcmp(&set->slot[i], r, sizeof *r) != 0) { i = (i + 1) & (set->capacity - 1); }
    return &set->slot[i];
}

static bool grow(struct ranges * set) {
    struct ranges bigger = { .capacity = set->capacity ? set->capacity * 2 : 16, .count = set->count };
    bigger.slot = calloc(bigger.capacity, sizeof bigger.slot[0]);
    if (!bigger.slot) { return false; }
    for (size_t i = 0; i < set->capacity; i++) {
        const struct range * r = &set->slot[i];
        if (r->count) { *slot_of(&bigger, r) = *r; }
    }
    free(set->slot);
    *set = bigger;
    return true;
}

void ranges_add(struct ranges * set, struct range range) {
    if (range.bytes == 0 || range.count == 0 || set->failed) { return; }
    if (set->count * 2 >= set->capacity && !grow(set)) {
        set->failed = true;
        return;
    }
    struct range * slot = slot_of(set, &range);
    set->count += slot->count == 0;
    *slot = range;
}

/* Turns all ranges into single runs, so that they can be sorted. */
static struct range * spread(const struct ranges * set, size_t * count) {
    uint64_t wanted = set->count;
    for (size_t i = 0; i < set->capacity && wanted <= RUNS_MAX; i++) { wanted += set->slot[i].count; }
    const bool whole = wanted > RUNS_MAX;
    struct range * runs = calloc((whole ? set->count : wanted) + 1, sizeof *runs);
    *count = 0;
    for (size_t i = 0; runs && i < set->capacity; i++) {
        struct range r = set->slot[i];
        if (r.count && whole) { runs[(*count)++] = (struct range){ r.space, r.from, range_extent(&r), 0, 1 }; }
        for (; r.count && !whole; r.count--, r.from += r.stride) { runs[(*count)++] = r; }
    }
    return runs;
}

static int ascending(const void * a, const void * b) {
    const struct range * x = a;
    const struct range * y = b;
    if (x->space != y->space) { return x->space < y->space ? -1 : 1; }
    return (x->from > y->from) - (x->from < y->from);
}

void ranges_each(struct ranges * set, void (*sink)(uint64_t space, uint64_t bytes, void * user), void * user) {
    uint64_t total = 0, end = 0;
    size_t count = 0;
    struct range * runs = spread(set, &count);
    if (count) { qsort(runs, count, sizeof *runs, ascending); }
    for (size_t i = 0; i < count; i++) {
        const uint64_t from = runs[i].from > end ? runs[i].from : end, to = runs[i].from + runs[i].bytes;
        if (to > from) {
            total += to - from;
            end = to;
        }
        if (i + 1 == count || runs[i + 1].space != runs[i].space) {
            sink(runs[i].space, total, user);
            total = end = 0;
        }
    }
    const bool failed = set->failed || !runs;
    free(runs);
    free(set->slot);
    *set = (struct ranges){ .failed = failed };
}

static void add_up(uint64_t space, uint64_t bytes, void * user) {
    (void) space;
    *(uint64_t *) user += bytes;
}

uint64_t ranges_total(struct ranges * set) {
    uint64_t total = 0;
    ranges_each(set, add_up, &total);
    return total;
}
