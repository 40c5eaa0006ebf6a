/* SPDX-License-Identifier: MIT
 *
 * LIRS (Jiang, Zhang: LIRS: an efficient low inter-reference recency set replacement policy, SIGMETRICS 2002). Most of
 * the cache is for items that were accessed twice within a short stretch (LIR); all others that are held wait in a
 * queue (HIR), from which items are evicted. A stack in the order of accesses, down to the oldest LIR item, remembers
 * what was evicted: accessed again while it is still there, it becomes LIR.
 *
 * Sizes: the LIR items may be 99 % of the cache, in bytes. A newcomer too large for the rest is taken in too, and LIR
 * items become HIR until it fits. libCacheSim passes by what is larger than 1 % of the cache.
 * The paper does not bound the stack; here it is bounded by the number of items.
 */
#include "policy/base.h"
#include "policy/lists.h"

enum { STACK = 1, QUEUE = 1 };

struct lirs {
    struct policy base;
    struct lists stack;     /* the bottom is the oldest */
    struct lists queue;     /* HIR items that are held */
    uint64_t lir, lir_most; /* bytes */
};

static void destroy(struct policy * base) {
    struct lirs * p = (struct lirs *) base;
    lists_end(&p->stack);
    lists_end(&p->queue);
    base_free(base);
}

static struct policy * create(uint64_t capacity, const struct policy_items * items) {
    struct lirs * p = base_new(sizeof *p, &policy_lirs, capacity, items);
    if (!p) { return NULL; }
    const uint64_t queue = capacity / 100;
    p->lir_most = capacity - (queue ? queue : capacity > 1);
    if (lists_begin(&p->stack, items, 1) && lists_begin(&p->queue, items, 1)) { return &p->base; }
    destroy(&p->base);
    return NULL;
}

static bool is_lir(const struct lirs * p, uint32_t item) {
    return p->base.held[item] && p->queue.list[item] == NO_LIST;
}

/* The bottom of the stack is always an LIR item. */
static void prune(struct lirs * p) {
    while (!lists_is_empty(&p->stack, STACK) && !is_lir(p, lists_oldest(&p->stack, STACK))) {
        lists_remove(&p->stack, lists_oldest(&p->stack, STACK));
    }
}

static void demote(struct lirs * p) {
    const uint32_t bottom = lists_oldest(&p->stack, STACK);
    lists_remove(&p->stack, bottom);
    p->lir -= p->base.items.bytes[bottom];
    lists_add(&p->queue, QUEUE, bottom);
    prune(p);
}

static void push(struct lirs * p, uint32_t item) {
    if (p->stack.list[item]) { lists_remove(&p->stack, item); }
    lists_add(&p->stack, STACK, item);
}

/* An item that is held and not in the queue. */
static void make_lir(struct lirs * p, uint32_t item) {
    push(p, item);
    p->lir += p->base.items.bytes[item];
    while (p->lir > p->lir_most && lists_oldest(&p->stack, STACK) != item) { demote(p); }
    prune(p);
}

static void hit(struct lirs * p, uint32_t item) {
    if (is_lir(p, item)) {
        push(p, item);
        prune(p);
    } else if (p->stack.list[item]) {
        lists_remove(&p->queue, item);
        make_lir(p, item);
    } else {
        push(p, item);
        lists_move(&p->queue, QUEUE, item);
    }
}

static bool access(struct policy * base, uint32_t item) {
    struct lirs * p = (struct lirs *) base;
    if (base->held[item]) {
        hit(p, item);
        return true;
    }
    if (!base_may_hold(base, item)) { return false; }
    while (!base_fits(base, item)) {
        if (lists_is_empty(&p->queue, QUEUE)) { demote(p); }
        const uint32_t first = lists_oldest(&p->queue, QUEUE);
        lists_remove(&p->queue, first);
        base_evict(base, first);
    }
    base_hold(base, item);
    if (p->stack.list[item] || p->lir + base->items.bytes[item] <= p->lir_most) {
        make_lir(p, item);
    } else {
        lists_add(&p->queue, QUEUE, item);
        push(p, item);
        prune(p);
    }
    return false;
}

const struct policy_kind policy_lirs = {
    .name = "lirs",
    .title = "LIRS",
    .knowledge = POLICY_ONLINE,
    .create = create,
    .access = access,
    .destroy = destroy,
};
