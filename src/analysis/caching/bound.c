/* SPDX-License-Identifier: MIT
 *
 * Belady's MIN on single bytes: those needed soonest stay, what was just read may be passed by. The bytes of a slice
 * are needed at the same time, so they move together, but for the slice that fits in part. Keeping a byte from one read
 * to the next saves one read, and at no time are more kept than fit: of such intervals, keeping those that end soonest
 * makes the most of them.
 */
#include <stdlib.h>

#include "analysis/caching/bound.h"
#include "analysis/ranges.h"

enum { NEVER = UINT32_MAX, FIRST = 1, GENERATED = 2 };

static size_t count_refs(const struct simulation * s) {
    return s->references->marks.data ? mark_at(s->references, s->reads.graphs)->first : 0;
}

static void mark_generated(struct bound * b, const struct references * r) {
    for (size_t m = 0; m < b->simulation->reads.graphs; m++) {
        if (mark_phase(r, m) != TAT_PHASE_GENERATE) { continue; }
        for (size_t i = mark_at(r, m)->first; i < mark_at(r, m + 1)->first; i++) { b->facts[i] = GENERATED; }
    }
}

/* From the end: the read before last in the walk is the next one. What has no read before is a first one. */
static void find_next(struct bound * b, const struct references * r) {
    for (uint32_t i = 0; i < r->slices.count; i++) { b->need[i] = NEVER; }
    for (size_t i = b->n_refs; i-- > 0;) {
        const uint32_t slice = reference_at(r, i);
        if (slice >= r->slices.count) { continue; }
        b->next[i] = b->need[slice];
        b->need[slice] = (uint32_t) i;
    }
    for (uint32_t i = 0; i < r->slices.count; i++) {
        if (b->need[i] != NEVER) { b->facts[b->need[i]] |= FIRST; }
    }
}

/* The union of what is read: rows may be those of a weight that is read as a whole too. Of rows that do not touch only
 * their bounds are known, so they may be had for nothing. */
static bool find_first(struct bound * b, const struct references * r) {
    struct ranges set = { 0 };
    for (size_t i = 0; i < b->n_refs; i++) {
        const struct extent_read e = reference_extent(r, reference_at(r, i));
        if (reference_at(r, i) < r->slices.count && !(b->facts[i] & FIRST)) { continue; }
        if (e.span == e.bytes) { ranges_add(&set, (struct range){ .from = e.address, .bytes = e.bytes, .count = 1 }); }
    }
    b->first = ranges_total(&set);
    return !set.failed;
}

bool bound_begin(struct bound * b, const struct simulation * s) {
    const uint32_t n = s->references->slices.count;
    *b = (struct bound){ .simulation = s, .n_refs = count_refs(s) };
    b->next = malloc((b->n_refs + 1) * sizeof *b->next);
    b->facts = calloc(b->n_refs + 1, sizeof *b->facts);
    b->need = malloc(((size_t) n + 1) * sizeof *b->need);
    b->heap = malloc(((size_t) n + 1) * sizeof *b->heap);
    b->place = malloc(((size_t) n + 1) * sizeof *b->place);
    b->held = calloc((size_t) n + 1, sizeof *b->held);
    if (!b->next || !b->facts || !b->need || !b->heap || !b->place || !b->held) { return false; }
    mark_generated(b, s->references);
    find_next(b, s->references);
    return find_first(b, s->references);
}

void bound_end(struct bound * b) {
    free(b->next);
    free(b->facts);
    free(b->need);
    free(b->heap);
    free(b->place);
    free(b->held);
}

static void put(struct bound * b, uint32_t place, uint32_t slice) {
    b->heap[place] = slice;
    b->place[slice] = place;
}

static void sift_up(struct bound * b, uint32_t place, uint32_t slice) {
    for (; place > 0 && b->need[b->heap[(place - 1) / 2]] < b->need[slice]; place = (place - 1) / 2) {
        put(b, place, b->heap[(place - 1) / 2]);
    }
    put(b, place, slice);
}

static void sift_down(struct bound * b, uint32_t place, uint32_t slice) {
    for (uint32_t child; (child = 2 * place + 1) < b->n; place = child) {
        if (child + 1 < b->n && b->need[b->heap[child + 1]] > b->need[b->heap[child]]) { child++; }
        if (b->need[b->heap[child]] <= b->need[slice]) { break; }
        put(b, place, b->heap[child]);
    }
    put(b, place, slice);
}

static void drop(struct bound * b, uint32_t slice) {
    const uint32_t place = b->place[slice], last = b->heap[--b->n];
    b->used -= b->held[slice];
    b->held[slice] = 0;
    if (last == slice) { return; }
    sift_down(b, place, last);
    sift_up(b, b->place[last], last);
}

static void keep(struct bound * b, uint32_t slice, uint64_t bytes, uint32_t need, uint64_t capacity) {
    const bool was = b->held[slice] > 0;
    if (capacity == 0) { return; }
    bytes = bytes < capacity ? bytes : capacity;
    b->used += bytes - b->held[slice];
    b->held[slice] = bytes;
    b->need[slice] = need;
    sift_up(b, was ? b->place[slice] : b->n++, slice);
    while (b->used > capacity) {
        const uint32_t latest = b->heap[0];
        const uint64_t over = b->used - capacity;
        if (b->held[latest] <= over) {
            drop(b, latest);
        } else {
            b->held[latest] -= over;
            b->used = capacity;
        }
    }
}

/* Bytes read again in all, or those for generated tokens alone: then what a prompt reads is had for nothing. */
static uint64_t run(struct bound * b, uint64_t capacity, bool generated_only) {
    const struct references * r = b->simulation->references;
    uint64_t again = 0;
    for (size_t i = 0; i < b->n_refs; i++) {
        const uint32_t slice = reference_at(r, i);
        if (slice >= r->slices.count) { continue; }
        const bool counts = !(b->facts[i] & FIRST) && (b->facts[i] & GENERATED || !generated_only);
        again += counts ? r->bytes[slice] - b->held[slice] : 0;
        if (b->next[i] != NEVER && (b->facts[b->next[i]] & GENERATED || !generated_only)) {
            keep(b, slice, r->bytes[slice], b->next[i], capacity);
        } else if (b->held[slice]) {
            drop(b, slice);
        }
    }
    return again; /* what is kept has a next read, so nothing is left */
}

struct simulated bound_find(struct bound * b, uint64_t capacity) {
    if (capacity > UINT64_MAX / 4) { capacity = UINT64_MAX / 4; } /* so that no sum wraps */
    return (struct simulated){ run(b, capacity, false), run(b, capacity, true) };
}
