/* SPDX-License-Identifier: MIT
 *
 * Least recently used, and first in, first out: one queue, which a hit reorders or not.
 */
#include <stdlib.h>

#include "policy/base.h"

struct lru {
    struct policy base;
    struct queue queue;
    struct link * links;
};

static void destroy(struct policy * p) {
    free(((struct lru *) p)->links);
    base_free(p);
}

static struct policy * create(const struct policy_kind * kind, uint64_t capacity, const struct policy_items * items) {
    struct lru * p = base_new(sizeof *p, kind, capacity, items);
    if (!p) { return NULL; }
    p->links = malloc(((size_t) items->count + 1) * sizeof *p->links);
    if (!p->links) {
        destroy(&p->base);
        return NULL;
    }
    queue_begin(&p->queue, p->links, items->count);
    return &p->base;
}

static void take_in(struct lru * p, uint32_t item) {
    if (!base_may_hold(&p->base, item)) { return; }
    while (!base_fits(&p->base, item)) {
        const uint32_t oldest = queue_oldest(&p->queue);
        queue_remove(&p->queue, oldest);
        base_evict(&p->base, oldest);
    }
    queue_add(&p->queue, item);
    base_hold(&p->base, item);
}

static struct policy * create_lru(uint64_t capacity, const struct policy_items * items) {
    return create(&policy_lru, capacity, items);
}

static bool access_lru(struct policy * base, uint32_t item) {
    struct lru * p = (struct lru *) base;
    if (!base->held[item]) {
        take_in(p, item);
        return false;
    }
    queue_remove(&p->queue, item);
    queue_add(&p->queue, item);
    return true;
}

static struct policy * create_fifo(uint64_t capacity, const struct policy_items * items) {
    return create(&policy_fifo, capacity, items);
}

static bool access_fifo(struct policy * base, uint32_t item) {
    if (base->held[item]) { return true; }
    take_in((struct lru *) base, item);
    return false;
}

const struct policy_kind policy_lru = {
    .name = "lru",
    .title = "least recently used",
    .knowledge = POLICY_ONLINE,
    .create = create_lru,
    .access = access_lru,
    .destroy = destroy,
};

const struct policy_kind policy_fifo = {
    .name = "fifo",
    .title = "first in, first out",
    .knowledge = POLICY_ONLINE,
    .create = create_fifo,
    .access = access_fifo,
    .destroy = destroy,
};
