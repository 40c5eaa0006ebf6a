/* SPDX-License-Identifier: MIT
 *
 * Those bytes stay that are needed soonest. The bytes of an item are needed at the same time, so they move together,
 * but for the item that fits in part. Keeping a byte from one read to the next saves one read, and at no time are more
 * kept than fit: of such intervals, keeping those that end soonest makes the most of them.
 */
#include "analysis/caching/bound.h"

#include <stdlib.h>

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

bool bound_begin(struct bound * b, const struct cache_string * string) {
    const size_t n = (size_t) string->n_items + 1, reads = (size_t) string->items.count + 1;
    *b = (struct bound){ .string = string };
    b->next = malloc(reads * sizeof *b->next);
    b->facts = calloc(reads, sizeof *b->facts);
    b->need = malloc(n * sizeof *b->need);
    b->heap = malloc(n * sizeof *b->heap);
    b->place = malloc(n * sizeof *b->place);
    b->held = calloc(n, sizeof *b->held);
    if (!b->next || !b->facts || !b->need || !b->heap || !b->place || !b->held) { return false; }
    mark_generated(b);
    cache_string_order(string, b->next, b->need);
    mark_first(b, b->need);
    return true;
}

void bound_end(struct bound * b) {
    free(b->next);
    free(b->facts);
    free(b->need);
    free(b->heap);
    free(b->place);
    free(b->held);
}

static void put(struct bound * b, uint32_t place, uint32_t item) {
    b->heap[place] = item;
    b->place[item] = place;
}

static void sift_up(struct bound * b, uint32_t place, uint32_t item) {
    for (; place > 0 && b->need[b->heap[(place - 1) / 2]] < b->need[item]; place = (place - 1) / 2) {
        put(b, place, b->heap[(place - 1) / 2]);
    }
    put(b, place, item);
}

static void sift_down(struct bound * b, uint32_t place, uint32_t item) {
    for (uint32_t child; (child = 2 * place + 1) < b->n; place = child) {
        if (child + 1 < b->n && b->need[b->heap[child + 1]] > b->need[b->heap[child]]) { child++; }
        if (b->need[b->heap[child]] <= b->need[item]) { break; }
        put(b, place, b->heap[child]);
    }
    put(b, place, item);
}

static void drop(struct bound * b, uint32_t item) {
    const uint32_t place = b->place[item], last = b->heap[--b->n];
    b->used -= b->held[item];
    b->held[item] = 0;
    if (last == item) { return; }
    sift_down(b, place, last);
    sift_up(b, b->place[last], last);
}

static void keep(struct bound * b, uint32_t item, uint64_t bytes, uint32_t need, uint64_t capacity) {
    const bool was = b->held[item] > 0;
    if (capacity == 0) { return; }
    bytes = bytes < capacity ? bytes : capacity;
    b->used += bytes - b->held[item];
    b->held[item] = bytes;
    b->need[item] = need;
    sift_up(b, was ? b->place[item] : b->n++, item);
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
    const struct cache_string * s = b->string;
    uint64_t again = 0;
    for (uint32_t i = 0; i < s->items.count; i++) {
        const uint32_t item = item_at(s, i);
        const bool counts = !(b->facts[i] & FIRST) && (b->facts[i] & GENERATED || !generated_only);
        again += counts ? s->bytes[item] - b->held[item] : 0;
        if (b->next[i] != NO_READ && (b->facts[b->next[i]] & GENERATED || !generated_only)) {
            keep(b, item, s->bytes[item], b->next[i], capacity);
        } else if (b->held[item]) {
            drop(b, item);
        }
    }
    return again; /* what is kept has a next read, so nothing is left */
}

struct again bound_find(struct bound * b, uint64_t capacity) {
    capacity = cache_string_capacity(b->string, capacity);
    if (capacity > UINT64_MAX / 4) { capacity = UINT64_MAX / 4; } /* so that no sum wraps */
    return cache_string_scaled(b->string, (struct again){ run(b, capacity, false), run(b, capacity, true) });
}
