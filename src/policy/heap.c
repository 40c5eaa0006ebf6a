/* SPDX-License-Identifier: MIT */
#include "policy/heap.h"

#include <stdlib.h>

bool heap_begin(struct heap * h, uint32_t n_items) {
    const size_t n = (size_t) n_items + 1;
    *h = (struct heap){ .n_items = n_items };
    h->entry = malloc(n * sizeof *h->entry);
    h->place = malloc(n * sizeof *h->place);
    h->link = malloc(n * sizeof *h->link);
    if (!h->entry || !h->place || !h->link) { return false; }
    h->link[n_items] = (struct heap_link){ .before = n_items, .after = n_items };
    return true;
}

void heap_end(struct heap * h) {
    free(h->entry);
    free(h->place);
    free(h->link);
}

/* ---- the tree ---- */

enum { CHILDREN = 4 };

static void put(struct heap * h, uint32_t place, struct heap_entry e) {
    h->entry[place] = e;
    h->place[e.item] = place;
}

static void sift_up(struct heap * h, uint32_t place, struct heap_entry e) {
    for (uint32_t parent; place > 0; place = parent) {
        parent = (place - 1) / CHILDREN;
        if (!rank_is_before(e.rank, h->entry[parent].rank)) { break; }
        put(h, place, h->entry[parent]);
    }
    put(h, place, e);
}

static void sift_down(struct heap * h, uint32_t place, struct heap_entry e) {
    for (uint32_t first; (first = CHILDREN * place + 1) < h->in_tree;) {
        const uint32_t end = first + CHILDREN < h->in_tree ? first + CHILDREN : h->in_tree;
        uint32_t least = first;
        for (uint32_t child = first + 1; child < end; child++) {
            if (rank_is_before(h->entry[child].rank, h->entry[least].rank)) { least = child; }
        }
        if (!rank_is_before(h->entry[least].rank, e.rank)) { break; }
        put(h, place, h->entry[least]);
        place = least;
    }
    put(h, place, e);
}

static void set(struct heap * h, uint32_t place, struct heap_entry e) {
    if (rank_is_before(e.rank, h->entry[place].rank)) {
        sift_up(h, place, e);
    } else {
        sift_down(h, place, e);
    }
}

static void leave_tree(struct heap * h, uint32_t place) {
    const struct heap_entry last = h->entry[--h->in_tree];
    if (place < h->in_tree) { set(h, place, last); }
}

/* ---- the run ---- */

static void join_run(struct heap * h, uint32_t item, struct rank rank, uint32_t before, uint32_t after) {
    h->link[item] = (struct heap_link){ rank, before, after };
    h->link[before].after = item;
    h->link[after].before = item;
    h->place[item] = IN_RUN;
}

static void leave_run(struct heap * h, uint32_t item) {
    const struct heap_link link = h->link[item];
    h->link[link.before].after = link.after;
    h->link[link.after].before = link.before;
}

/* At one of its ends; false: the rank lies within. */
static bool add_to_run(struct heap * h, uint32_t item, struct rank rank) {
    const uint32_t end = h->n_items, first = h->link[end].after, last = h->link[end].before;
    if (first == end || !rank_is_before(rank, h->link[last].rank)) {
        join_run(h, item, rank, last, end);
    } else if (rank_is_before(rank, h->link[first].rank)) {
        join_run(h, item, rank, end, first);
    } else {
        return false;
    }
    return true;
}

/* ---- both ---- */

void heap_remove(struct heap * h, uint32_t item) {
    h->count--;
    if (h->place[item] == IN_RUN) {
        leave_run(h, item);
    } else {
        leave_tree(h, h->place[item]);
    }
}

void heap_add(struct heap * h, uint32_t item, struct rank rank) {
    h->count++;
    if (!add_to_run(h, item, rank)) { sift_up(h, h->in_tree++, (struct heap_entry){ rank, item }); }
}

void heap_set_rank(struct heap * h, uint32_t item, struct rank rank) {
    const uint32_t place = h->place[item];
    if (place == IN_RUN) {
        heap_remove(h, item);
        heap_add(h, item, rank);
    } else if (add_to_run(h, item, rank)) {
        leave_tree(h, place);
    } else {
        set(h, place, (struct heap_entry){ rank, item });
    }
}

struct heap_entry heap_pop(struct heap * h) {
    const struct heap_entry first = heap_first(h);
    heap_remove(h, first.item);
    return first;
}
