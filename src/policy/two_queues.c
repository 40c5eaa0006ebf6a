/* SPDX-License-Identifier: MIT
 *
 * 2Q (Johnson, Shasha: 2Q: a low overhead high performance buffer management replacement algorithm, VLDB 1994), the
 * full version: newcomers wait in a FIFO queue (A1in), a quarter of the cache; what it let go is remembered (A1out),
 * for half of the cache; what is then accessed again comes into an LRU list (Am).
 *
 * Sizes: queues are measured in bytes. An item larger than A1in is taken in too, and if Am has nothing to evict, A1in
 * has. libCacheSim passes such items by, and keeps Am below three quarters of the cache.
 */
#include "policy/base.h"
#include "policy/lists.h"

enum { A1_IN = 1, A1_OUT, AM, LISTS = AM };

struct two_queues {
    struct policy base;
    struct lists lists;
};

static void destroy(struct policy * base) {
    lists_end(&((struct two_queues *) base)->lists);
    base_free(base);
}

static struct policy * create(uint64_t capacity, const struct policy_items * items) {
    struct two_queues * p = base_new(sizeof *p, &policy_2q, capacity, items);
    if (!p) { return NULL; }
    if (lists_begin(&p->lists, items, LISTS)) { return &p->base; }
    destroy(&p->base);
    return NULL;
}

static void evict(struct two_queues * p) {
    struct lists * l = &p->lists;
    const bool from_in = l->bytes[A1_IN] > p->base.capacity / 4 || lists_is_empty(l, AM);
    const uint32_t item = lists_oldest(l, from_in ? A1_IN : AM);
    base_evict(&p->base, item);
    lists_remove(l, item);
    if (!from_in) { return; }
    lists_add(l, A1_OUT, item);
    while (l->bytes[A1_OUT] > p->base.capacity / 2) { lists_remove(l, lists_oldest(l, A1_OUT)); }
}

static bool access(struct policy * base, uint32_t item) {
    struct two_queues * p = (struct two_queues *) base;
    const unsigned list = p->lists.list[item];
    if (base->held[item]) {
        if (list == AM) { lists_move(&p->lists, AM, item); }
        return true;
    }
    if (!base_may_hold(base, item)) { return false; }
    if (list == A1_OUT) { lists_remove(&p->lists, item); }
    while (!base_fits(base, item)) { evict(p); }
    lists_add(&p->lists, list == A1_OUT ? AM : A1_IN, item);
    base_hold(base, item);
    return false;
}

const struct policy_kind policy_2q = {
    .name = "2q",
    .title = "2Q",
    .knowledge = POLICY_ONLINE,
    .create = create,
    .access = access,
    .destroy = destroy,
};
