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

enum { CHILDREN = 4 };

static bool is_before(struct rank a, struct rank b) {
    return (a.value < b.value) | ((a.value == b.value) & (a.accessed < b.accessed));
}

static void put(struct heap * h, uint32_t place, struct heap_entry e) {
    h->entry[place] = e;
    h->place[e.item] = place;
}

static void sift_up(struct heap * h, uint32_t place, struct heap_entry e) {
    for (uint32_t parent; place > 0; place = parent) {
        parent = (place - 1) / CHILDREN;
        if (!is_before(e.rank, h->entry[parent].rank)) { break; }
        put(h, place, h->entry[parent]);
    }
    put(h, place, e);
}

static void sift_down(struct heap * h, uint32_t place, struct heap_entry e) {
    for (uint32_t first; (first = CHILDREN * place + 1) < h->count;) {
        const uint32_t end = first + CHILDREN < h->count ? first + CHILDREN : h->count;
        uint32_t least = first;
        for (uint32_t child = first + 1; child < end; child++) {
            if (is_before(h->entry[child].rank, h->entry[least].rank)) { least = child; }
        }
        if (!is_before(h->entry[least].rank, e.rank)) { break; }
        put(h, place, h->entry[least]);
        place = least;
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
