/* SPDX-License-Identifier: MIT
 *
 * LRU-2 (O'Neil, O'Neil, Weikum: The LRU-K page replacement algorithm for database disk buffering, SIGMOD 1993): what
 * goes first is what was accessed only once, of these the least recently used; then what has its last access but one
 * longest ago. As items are known and few, history is kept of all of them for ever, whether held or not (the retained
 * information period is infinite), and no two accesses count as one (the correlated reference period is 0).
 *
 * libCacheSim forgets what it evicts.
 *
 * Sizes: it does not look at them.
 */
#include <stdlib.h>

#include "policy/base.h"
#include "policy/heap.h"

struct lru2 {
    struct policy base;
    uint64_t * last;  /* by item: number of its last access, 0: none */
    struct heap heap; /* of items held, by their last access but one */
};

static void destroy(struct policy * base) {
    struct lru2 * p = (struct lru2 *) base;
    free(p->last);
    heap_end(&p->heap);
    base_free(base);
}

static struct policy * create(uint64_t capacity, const struct policy_items * items) {
    struct lru2 * p = base_new(sizeof *p, &policy_lru2, capacity, items);
    if (!p) { return NULL; }
    p->last = calloc((size_t) items->count + 1, sizeof *p->last);
    if (heap_begin(&p->heap, items->count) && p->last) { return &p->base; }
    destroy(&p->base);
    return NULL;
}

static bool access(struct policy * base, uint32_t item) {
    struct lru2 * p = (struct lru2 *) base;
    const struct rank rank = { p->last[item], base->now };
    p->last[item] = base->now;
    if (base->held[item]) {
        heap_set_rank(&p->heap, item, rank);
        return true;
    }
    if (!base_may_hold(base, item)) { return false; }
    while (!base_fits(base, item)) { base_evict(base, heap_pop(&p->heap).item); }
    heap_add(&p->heap, item, rank);
    base_hold(base, item);
    return false;
}

const struct policy_kind policy_lru2 = {
    .name = "lru2",
    .title = "LRU-2",
    .knowledge = POLICY_ONLINE,
    .create = create,
    .access = access,
    .destroy = destroy,
};
