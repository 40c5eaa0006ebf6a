/* SPDX-License-Identifier: MIT
 *
 * Those bytes stay that are needed soonest. The bytes of an item are needed at the same time, so they move together,
 * but for the item that fits in part. Keeping a byte from one read to the next saves one read, and at no time are more
 * kept than fit: of such intervals, keeping those that end soonest makes the most of them.
 */
#include "analysis/caching/bound.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST = 1, GENERATED = 2 };

static void mark_generated(struct bound * b) {
    uint32_t i = 0;
    for (uint32_t g = 0; g < b->string->graphs.count; g++) {
        for (; i < graph_at(b->string, g)->end; i++) {
            b->facts[i] = graph_at(b->string, g)->generated ? GENERATED : 0;
        }
    }
}

static void mark_first(struct bound * b, const uint32_t * first) {
    for (uint32_t item = 0; item < b->string->n_items; item++) {
        if (first[item] != NO_READ) { b->facts[first[item]] |= FIRST; }
    }
}

/* What reads each item from `settled` on. */
static void find_later(struct bound * b) {
    for (uint32_t item = 0; item < b->string->n_items; item++) { b->later[item] = NO_READ; }
    for (uint32_t i = b->string->items.count; i-- > b->settled;) { b->later[item_at(b->string, i)] = i; }
}

bool bound_begin(struct bound * b, const struct cache_string * string) {
    const size_t n = (size_t) string->n_items + 1, reads = (size_t) string->items.count + 1;
    *b = (struct bound){ .string = string };
    b->next = malloc(reads * sizeof *b->next);
    b->facts = calloc(reads, sizeof *b->facts);
    b->held = calloc(n, sizeof *b->held);
    b->aside = calloc(n, sizeof *b->aside);
    b->later = malloc(n * sizeof *b->later);
    const bool good = heap_begin(&b->latest, string->n_items);
    if (!good || !b->next || !b->facts || !b->held || !b->aside || !b->later) { return false; }
    mark_generated(b);
    cache_string_order(string, b->next, b->later);
    mark_first(b, b->later);
    for (b->settled = string->items.count; b->settled && b->facts[b->settled - 1] & GENERATED;) { b->settled--; }
    find_later(b);
    return true;
}

void bound_end(struct bound * b) {
    free(b->next);
    free(b->facts);
    heap_end(&b->latest);
    free(b->held);
    free(b->aside);
    free(b->later);
}

/* ---- what is held ---- */

static void drop(struct bound * b, uint32_t item) {
    heap_remove(&b->latest, item);
    b->used -= b->held[item];
    b->held[item] = 0;
}

/* Until the read that needs it. */
static void hold(struct bound * b, uint32_t item, uint64_t bytes, uint32_t need) {
    b->used += bytes;
    b->held[item] = bytes;
    heap_add(&b->latest, item, (struct rank){ NO_READ - need, 0 });
}

/* An item that is not held. One that is needed after all others takes only what room there is. */
static void keep(struct bound * b, uint32_t item, uint32_t need, uint64_t capacity) {
    const bool is_last = b->latest.count == 0 || NO_READ - need < heap_first(&b->latest).rank.value;
    const uint64_t bytes = b->string->bytes[item], room = is_last ? capacity - b->used : capacity;
    if (room == 0) { return; }
    hold(b, item, bytes < room ? bytes : room, need);
    while (b->used > capacity) {
        const uint32_t latest = heap_first(&b->latest).item;
        const uint64_t over = b->used - capacity;
        if (b->held[latest] <= over) {
            drop(b, latest);
        } else {
            b->held[latest] -= over;
            b->used = capacity;
        }
    }
}

/* ---- the string ---- */

/* Bytes that some of the reads read again: in all, or those for generated tokens alone. In the latter case, what a
 * prompt reads is had for nothing. */
static uint64_t run(struct bound * b, uint64_t capacity, bool generated_only, uint32_t begin, uint32_t end) {
    const struct cache_string * s = b->string;
    uint64_t again = 0;
    for (uint32_t i = begin; i < end; i++) {
        const uint32_t item = item_at(s, i);
        const bool counts = !(b->facts[i] & FIRST) && (b->facts[i] & GENERATED || !generated_only);
        again += counts ? s->bytes[item] - b->held[item] : 0;
        if (b->held[item]) { drop(b, item); }
        if (b->next[i] != NO_READ && (b->facts[b->next[i]] & GENERATED || !generated_only)) {
            keep(b, item, b->next[i], capacity);
        }
    }
    return again; /* what is kept has a next read, so at the end nothing is left */
}

static void set_aside(struct bound * b) {
    memcpy(b->aside, b->held, b->string->n_items * sizeof *b->held);
    while (b->latest.count) { drop(b, heap_first(&b->latest).item); }
}

static void take_back(struct bound * b) {
    for (uint32_t item = 0; item < b->string->n_items; item++) {
        if (b->aside[item]) { hold(b, item, b->aside[item], b->later[item]); }
    }
}

/* From `settled` on, all reads are of generated tokens. What is held by then for these alone is mostly what is held for
 * all; if so, both read the same from there on. */
struct again bound_find(struct bound * b, uint64_t capacity) {
    const uint32_t end = b->string->items.count;
    capacity = cache_string_capacity(b->string, capacity);
    if (capacity > UINT64_MAX / 4) { capacity = UINT64_MAX / 4; } /* so that no sum wraps */
    struct again again = { .generated = run(b, capacity, true, 0, b->settled) };
    set_aside(b);
    again.all = run(b, capacity, false, 0, b->settled);
    const bool same = memcmp(b->aside, b->held, b->string->n_items * sizeof *b->held) == 0;
    const uint64_t rest = run(b, capacity, false, b->settled, end);
    again.all += rest;
    if (!same) { take_back(b); }
    again.generated += same ? rest : run(b, capacity, true, b->settled, end);
    return cache_string_scaled(b->string, again);
}
