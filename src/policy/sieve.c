/* SPDX-License-Identifier: MIT
 *
 * SIEVE (Zhang, Yang, Yue, Vigfusson, Rashmi: SIEVE is simpler than LRU, NSDI 2024): a FIFO queue through which a hand
 * moves from old to new. It evicts what was not accessed since it last passed; what was stays where it is.
 *
 * Sizes: it does not look at them.
 */
#include <stdlib.h>

#include "policy/base.h"
#include "policy/lists.h"

enum { HELD = 1 };

struct sieve {
    struct policy base;
    struct lists lists;
    bool * visited; /* by item */
    uint32_t hand;  /* the item that it looks at next, or the list's end: then the oldest */
};

static void destroy(struct policy * base) {
    struct sieve * p = (struct sieve *) base;
    lists_end(&p->lists);
    free(p->visited);
    base_free(base);
}

static struct policy * create(uint64_t capacity, const struct policy_items * items) {
    struct sieve * p = base_new(sizeof *p, &policy_sieve, capacity, items);
    if (!p) { return NULL; }
    p->visited = calloc((size_t) items->count + 1, sizeof *p->visited);
    if (!lists_begin(&p->lists, items, 1) || !p->visited) {
        destroy(&p->base);
        return NULL;
    }
    p->hand = lists_end_of(&p->lists, HELD);
    return &p->base;
}

static void evict(struct sieve * p) {
    const struct link * link = p->lists.link;
    const uint32_t end = lists_end_of(&p->lists, HELD);
    uint32_t at = p->hand;
    for (;; at = link[at].newer) {
        if (at == end) { at = lists_oldest(&p->lists, HELD); }
        if (!p->visited[at]) { break; }
        p->visited[at] = false;
    }
    p->hand = link[at].newer;
    lists_remove(&p->lists, at);
    base_evict(&p->base, at);
}

static bool access(struct policy * base, uint32_t item) {
    struct sieve * p = (struct sieve *) base;
    if (base->held[item]) {
        p->visited[item] = true;
        return true;
    }
    if (!base_may_hold(base, item)) { return false; }
    while (!base_fits(base, item)) { evict(p); }
    p->visited[item] = false;
    lists_add(&p->lists, HELD, item);
    base_hold(base, item);
    return false;
}

const struct policy_kind policy_sieve = {
    .name = "sieve",
    .title = "SIEVE",
    .knowledge = POLICY_ONLINE,
    .create = create,
    .access = access,
    .destroy = destroy,
};
