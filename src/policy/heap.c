/* SPDX-License-Identifier: MIT */
#include "policy/heap.h"

#include <stdlib.h>

bool heap_begin(struct heap * h, uint32_t n_items) {
    h->entry = malloc(((size_t) n_items + 1) * sizeof *h->entry);
    h->place = malloc(((size_t) n_items + 1) * sizeof *h->place);
    h->count = 0;
    return h->entry && h->place;
}

void heap_end(struct heap * h) {
    free(h->entry);
    free(h->place);
}

static bool is_before(struct rank a, struct rank b) {
    return a.value != b.value ? a.value < b.value : a.accessed < b.accessed;
}

static void put(struct heap * h, uint32_t place, struct heap_entry e) {
    h->entry[place] = e;
    h->place[e.item] = place;
}

static void sift_up(struct heap * h, uint32_t place, struct heap_entry e) {
    for (uint32_t parent; place > 0; place = parent) {
        parent = (place - 1) / 2;
        if (!is_before(e.rank, h->entry[parent].rank)) { break; }
        put(h, place, h->entry[parent]);
    }
    put(h, place, e);
}

static void sift_down(struct heap * h, uint32_t place, struct heap_entry e) {
    for (uint32_t child; (child = 2 * place + 1) < h->count; place = child) {
        if (child + 1 < h->count && is_before(h->entry[child + 1].rank, h->entry[child].rank)) { child++; }
        if (!is_before(h->entry[child].rank, e.rank)) { break; }
        put(h, place, h->entry[child]);
    }
    put(h, place, e);
}

void heap_add(struct heap * h, uint32_t item, struct rank rank) {
    sift_up(h, h->count++, (struct heap_entry){ rank, item });
}

static void set(struct heap * h, uint32_t place, struct heap_entry e) {
    if (is_before(e.rank, h->entry[place].rank)) {
        sift_up(h, place, e);
    } else {
        sift_down(h, place, e);
    }
}

void heap_set_rank(struct heap * h, uint32_t item, struct rank rank) {
    set(h, h->place[item], (struct heap_entry){ rank, item });
}

void heap_remove(struct heap * h, uint32_t item) {
    const struct heap_entry last = h->entry[--h->count];
    if (last.item != item) { set(h, h->place[item], last); }
}

struct heap_entry heap_pop(struct heap * h) {
    const struct heap_entry first = h->entry[0];
    if (--h->count) { sift_down(h, 0, h->entry[h->count]); }
    return first;
}
