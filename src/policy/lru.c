/* SPDX-License-Identifier: MIT
 *
 * Policies that are one list: least recently used; most recently used, which keeps what came first and so suits loops;
 * first in, first out; and CLOCK (Corbato: A paging experiment with the Multics system, 1969), which is FIFO that gives
 * a second chance to what was accessed since it came to the front. All of them take every newcomer in.
 *
 * Sizes: none of them looks at sizes.
 */
#include <stdlib.h>

#include "policy/base.h"
#include "policy/lists.h"

enum { HELD = 1 };

struct lru {
    struct policy base;
    struct lists lists;
    bool * accessed; /* by item: since it was added */
};

static void destroy(struct policy * base) {
    struct lru * p = (struct lru *) base;
    lists_end(&p->lists);
    free(p->accessed);
    base_free(base);
}

static struct policy * create(const struct policy_kind * kind, uint64_t capacity, const struct policy_items * items) {
    struct lru * p = base_new(sizeof *p, kind, capacity, items);
    if (!p) { return NULL; }
    p->accessed = calloc((size_t) items->count + 1, sizeof *p->accessed);
    if (lists_begin(&p->lists, items, 1) && p->accessed) { return &p->base; }
    destroy(&p->base);
    return NULL;
}

static void evict(struct lru * p, uint32_t item) {
    lists_remove(&p->lists, item);
    base_evict(&p->base, item);
}

static void hold(struct lru * p, uint32_t item) {
    lists_add(&p->lists, HELD, item);
    base_hold(&p->base, item);
}

static void evict_oldest_until_fits(struct lru * p, uint32_t item) {
    while (!base_fits(&p->base, item)) { evict(p, lists_oldest(&p->lists, HELD)); }
}

/* ---- LRU ---- */

static struct policy * create_lru(uint64_t capacity, const struct policy_items * items) {
    return create(&policy_lru, capacity, items);
}

static bool access_lru(struct policy * base, uint32_t item) {
    struct lru * p = (struct lru *) base;
    if (base->held[item]) {
        lists_move(&p->lists, HELD, item);
        return true;
    }
    if (!base_may_hold(base, item)) { return false; }
    evict_oldest_until_fits(p, item);
    hold(p, item);
    return false;
}

static bool evict_lru(struct policy * base) {
    struct lru * p = (struct lru *) base;
    if (lists_is_empty(&p->lists, HELD)) { return false; }
    evict(p, lists_oldest(&p->lists, HELD));
    return true;
}

const struct policy_kind policy_lru = {
    .name = "lru",
    .title = "least recently used",
    .knowledge = POLICY_ONLINE,
    .create = create_lru,
    .access = access_lru,
    .evict = evict_lru,
    .destroy = destroy,
};

/* ---- MRU ---- */

static struct policy * create_mru(uint64_t capacity, const struct policy_items * items) {
    return create(&policy_mru, capacity, items);
}

static bool access_mru(struct policy * base, uint32_t item) {
    struct lru * p = (struct lru *) base;
    if (base->held[item]) {
        lists_move(&p->lists, HELD, item);
        return true;
    }
    if (!base_may_hold(base, item)) { return false; }
    while (!base_fits(base, item)) { evict(p, lists_newest(&p->lists, HELD)); }
    hold(p, item);
    return false;
}

const struct policy_kind policy_mru = {
    .name = "mru",
    .title = "most recently used",
    .knowledge = POLICY_ONLINE,
    .create = create_mru,
    .access = access_mru,
    .destroy = destroy,
};

/* ---- FIFO ---- */

static struct policy * create_fifo(uint64_t capacity, const struct policy_items * items) {
    return create(&policy_fifo, capacity, items);
}

static bool access_fifo(struct policy * base, uint32_t item) {
    struct lru * p = (struct lru *) base;
    if (base->held[item]) { return true; }
    if (!base_may_hold(base, item)) { return false; }
    evict_oldest_until_fits(p, item);
    hold(p, item);
    return false;
}

const struct policy_kind policy_fifo = {
    .name = "fifo",
    .title = "first in, first out",
    .knowledge = POLICY_ONLINE,
    .create = create_fifo,
    .access = access_fifo,
    .destroy = destroy,
};

/* ---- CLOCK ---- */

static struct policy * create_clock(uint64_t capacity, const struct policy_items * items) {
    return create(&policy_clock, capacity, items);
}

static bool access_clock(struct policy * base, uint32_t item) {
    struct lru * p = (struct lru *) base;
    const bool hit = base->held[item];
    if (!hit && !base_may_hold(base, item)) { return false; }
    while (!hit && !base_fits(base, item)) {
        const uint32_t oldest = lists_oldest(&p->lists, HELD);
        if (p->accessed[oldest]) {
            p->accessed[oldest] = false;
            lists_move(&p->lists, HELD, oldest);
        } else {
            evict(p, oldest);
        }
    }
    p->accessed[item] = hit;
    if (!hit) { hold(p, item); }
    return hit;
}

const struct policy_kind policy_clock = {
    .name = "clock",
    .title = "CLOCK",
    .knowledge = POLICY_ONLINE,
    .create = create_clock,
    .access = access_clock,
    .destroy = destroy,
};
