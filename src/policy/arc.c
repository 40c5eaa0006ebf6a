/* SPDX-License-Identifier: MIT
 *
 * ARC (Megiddo, Modha: ARC: a self-tuning, low overhead replacement cache, FAST 2003): LRU lists of what was accessed
 * once lately (T1) and more often (T2), and the ghosts of both (B1, B2). An access to a ghost moves the size that T1
 * aims at.
 *
 * Sizes: lists are measured in bytes, and a step of that size is as large as the item accessed, times the ratio of the
 * ghost lists. In the paper, where all have size 1, that is the same. In libCacheSim a step is that ratio of
 * bytes, whatever the size.
 */
#include "policy/base.h"
#include "policy/lists.h"

enum { T1 = 1, T2, B1, B2, LISTS = B2 };

struct arc {
    struct policy base;
    struct lists lists;
    double aim; /* bytes of T1; p in the paper */
};

static void destroy(struct policy * base) {
    lists_end(&((struct arc *) base)->lists);
    base_free(base);
}

static struct policy * create(uint64_t capacity, const struct policy_items * items) {
    struct arc * p = base_new(sizeof *p, &policy_arc, capacity, items);
    if (!p) { return NULL; }
    if (lists_begin(&p->lists, items, LISTS)) { return &p->base; }
    destroy(&p->base);
    return NULL;
}

/* For an access to a ghost: T1 was too small if the ghost is one of its own. */
static void adapt(struct arc * p, uint32_t item) {
    const double b1 = (double) p->lists.bytes[B1], b2 = (double) p->lists.bytes[B2];
    const double step = (double) p->base.items.bytes[item], most = (double) p->base.capacity;
    if (p->lists.list[item] == B1) {
        p->aim += step * (b2 > b1 ? b2 / b1 : 1);
        if (p->aim > most) { p->aim = most; }
    } else {
        p->aim -= step * (b1 > b2 ? b1 / b2 : 1);
        if (p->aim < 0) { p->aim = 0; }
    }
}

/* Evicts one item for one that was found in `ghosts`, or is new. */
static void replace(struct arc * p, unsigned ghosts) {
    struct lists * l = &p->lists;
    const double t1 = (double) l->bytes[T1];
    const bool from_t1 = !lists_is_empty(l, T1) && (t1 > p->aim || (ghosts == B2 && t1 == p->aim));
    const unsigned from = from_t1 || lists_is_empty(l, T2) ? T1 : T2;
    const uint32_t item = lists_oldest(l, from);
    base_evict(&p->base, item);
    lists_move(l, from == T1 ? B1 : B2, item);
}

/* So that T1 with its ghosts stays below the capacity, and all lists below twice that. */
static void make_room_for_new(struct arc * p, uint32_t item) {
    struct lists * l = &p->lists;
    const uint64_t bytes = p->base.items.bytes[item], capacity = p->base.capacity;
    while (l->bytes[T1] + l->bytes[B1] + bytes > capacity) {
        const uint32_t oldest = lists_oldest(l, lists_is_empty(l, B1) ? T1 : B1);
        if (p->base.held[oldest]) { base_evict(&p->base, oldest); }
        lists_remove(l, oldest);
    }
    while (!base_fits(&p->base, item)) { replace(p, NO_LIST); }
    while (p->base.used + l->bytes[B1] + l->bytes[B2] + bytes > 2 * capacity && !lists_is_empty(l, B2)) {
        lists_remove(l, lists_oldest(l, B2));
    }
}

static bool access(struct policy * base, uint32_t item) {
    struct arc * p = (struct arc *) base;
    const unsigned list = p->lists.list[item];
    if (base->held[item]) {
        lists_move(&p->lists, T2, item);
        return true;
    }
    if (!base_may_hold(base, item)) { return false; }
    if (list == NO_LIST) {
        make_room_for_new(p, item);
        lists_add(&p->lists, T1, item);
    } else {
        adapt(p, item);
        lists_remove(&p->lists, item);
        while (!base_fits(base, item)) { replace(p, list); }
        lists_add(&p->lists, T2, item);
    }
    base_hold(base, item);
    return false;
}

const struct policy_kind policy_arc = {
    .name = "arc",
    .title = "ARC",
    .knowledge = POLICY_ONLINE,
    .create = create,
    .access = access,
    .destroy = destroy,
};
