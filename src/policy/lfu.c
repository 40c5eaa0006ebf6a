/* SPDX-License-Identifier: MIT
 *
 * Least frequently used. Counts are kept of all items, held or not; a newcomer drives out only what is used less often
 * than it, or is passed by. So a loop larger than the cache keeps what came first, where LRU would keep nothing.
 */
#include <stdlib.h>

#include "policy/base.h"

struct lfu {
    struct policy base;
    uint64_t * uses; /* by item */
    uint32_t * heap; /* items held, the least used first; among equals the lowest number */
    uint32_t * at;   /* by item: its place in the heap */
    uint32_t n;
};

static void destroy(struct policy * base) {
    struct lfu * p = (struct lfu *) base;
    free(p->uses);
    free(p->heap);
    free(p->at);
    base_free(base);
}

static struct policy * create(uint64_t capacity, const struct policy_items * items) {
    struct lfu * p = base_new(sizeof *p, &policy_lfu, capacity, items);
    if (!p) { return NULL; }
    p->uses = calloc((size_t) items->count + 1, sizeof *p->uses);
    p->heap = malloc(((size_t) items->count + 1) * sizeof *p->heap);
    p->at = malloc(((size_t) items->count + 1) * sizeof *p->at);
    if (p->uses && p->heap && p->at) { return &p->base; }
    destroy(&p->base);
    return NULL;
}

static bool is_before(const struct lfu * p, uint32_t a, uint32_t b) {
    return p->uses[a] != p->uses[b] ? p->uses[a] < p->uses[b] : a < b;
}

static void put(struct lfu * p, uint32_t place, uint32_t item) {
    p->heap[place] = item;
    p->at[item] = place;
}

static void sift_up(struct lfu * p, uint32_t place, uint32_t item) {
    for (uint32_t parent; place > 0 && is_before(p, item, p->heap[parent = (place - 1) / 2]); place = parent) {
        put(p, place, p->heap[parent]);
    }
    put(p, place, item);
}

static void sift_down(struct lfu * p, uint32_t place, uint32_t item) {
    for (uint32_t child; (child = 2 * place + 1) < p->n; place = child) {
        if (child + 1 < p->n && is_before(p, p->heap[child + 1], p->heap[child])) { child++; }
        if (!is_before(p, p->heap[child], item)) { break; }
        put(p, place, p->heap[child]);
    }
    put(p, place, item);
}

static uint32_t pop(struct lfu * p) {
    const uint32_t least = p->heap[0];
    if (--p->n) { sift_down(p, 0, p->heap[p->n]); }
    return least;
}

/* Drives out what is used less than `item` until that fits. If there is not enough, nothing has changed. */
static bool make_room(struct lfu * p, uint32_t item) {
    struct policy * base = &p->base;
    while (!base_fits(base, item) && p->n && p->uses[p->heap[0]] < p->uses[item]) { base_evict(base, pop(p)); }
    if (base_fits(base, item)) { return true; }
    while (base->n_evicted) {
        const uint32_t back = base->evicted[--base->n_evicted];
        base_hold(base, back);
        sift_up(p, p->n++, back);
    }
    return false;
}

static bool access(struct policy * base, uint32_t item) {
    struct lfu * p = (struct lfu *) base;
    p->uses[item]++;
    if (base->held[item]) {
        sift_down(p, p->at[item], item);
        return true;
    }
    if (base->items.bytes[item] <= base->capacity && make_room(p, item)) {
        base_hold(base, item);
        sift_up(p, p->n++, item);
    }
    return false;
}

const struct policy_kind policy_lfu = {
    .name = "lfu",
    .title = "least frequently used",
    .create = create,
    .access = access,
    .destroy = destroy,
};
