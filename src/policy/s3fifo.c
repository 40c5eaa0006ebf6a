/* SPDX-License-Identifier: MIT
 *
 * S3-FIFO (Yang, Zhang, Qiu, Yue, Rashmi: FIFO queues are all you need for cache eviction, SOSP 2023): a small queue
 * for newcomers, a tenth of the cache; a main queue for what was asked for again; and a ghost queue of what the small
 * one let go.
 *
 * Sizes: queues are measured in bytes; the ghosts stand for as many as the main queue may hold. An item larger than the
 * small queue is taken in too; libCacheSim passes it by.
 */
#include <stdlib.h>

#include "policy/base.h"
#include "policy/lists.h"

enum { USES_MAX = 3, MOVES = 2 /* uses in the small queue that lead to the main one */ };

enum { SMALL = 1, MAIN, GHOST, LISTS = GHOST };

struct s3fifo {
    struct policy base;
    struct lists lists;
    uint64_t small_most; /* bytes */
    uint8_t * uses;      /* by item */
};

static void destroy(struct policy * base) {
    struct s3fifo * p = (struct s3fifo *) base;
    lists_end(&p->lists);
    free(p->uses);
    base_free(base);
}

static struct policy * create(uint64_t capacity, const struct policy_items * items) {
    struct s3fifo * p = base_new(sizeof *p, &policy_s3fifo, capacity, items);
    if (!p) { return NULL; }
    p->small_most = capacity / 10;
    p->uses = calloc((size_t) items->count + 1, sizeof *p->uses);
    if (lists_begin(&p->lists, items, LISTS) && p->uses) { return &p->base; }
    destroy(&p->base);
    return NULL;
}

/* The oldest of the small queue leaves it: for the main one, or the cache. */
static void leave_small(struct s3fifo * p) {
    const uint32_t item = lists_oldest(&p->lists, SMALL);
    if (p->uses[item] >= MOVES) {
        lists_move(&p->lists, MAIN, item);
        p->uses[item] = 0;
        return;
    }
    base_evict(&p->base, item);
    lists_move(&p->lists, GHOST, item);
    while (p->lists.bytes[GHOST] > p->base.capacity - p->small_most) {
        lists_remove(&p->lists, lists_oldest(&p->lists, GHOST));
    }
}

/* The oldest of the main queue goes round again for each use it had, or leaves the cache. */
static void leave_main(struct s3fifo * p) {
    const uint32_t item = lists_oldest(&p->lists, MAIN);
    if (p->uses[item]) {
        p->uses[item]--;
        lists_move(&p->lists, MAIN, item);
        return;
    }
    base_evict(&p->base, item);
    lists_remove(&p->lists, item);
}

static bool access(struct policy * base, uint32_t item) {
    struct s3fifo * p = (struct s3fifo *) base;
    struct lists * l = &p->lists;
    if (base->held[item]) {
        if (p->uses[item] < USES_MAX) { p->uses[item]++; }
        return true;
    }
    if (!base_may_hold(base, item)) { return false; }
    const bool known = l->list[item] == GHOST;
    if (known) { lists_remove(l, item); }
    while (!base_fits(base, item)) {
        if (!lists_is_empty(l, SMALL) && (l->bytes[SMALL] > p->small_most || lists_is_empty(l, MAIN))) {
            leave_small(p);
        } else {
            leave_main(p);
        }
    }
    lists_add(l, known ? MAIN : SMALL, item);
    p->uses[item] = 0;
    base_hold(base, item);
    return false;
}

const struct policy_kind policy_s3fifo = {
    .name = "s3fifo",
    .title = "S3-FIFO",
    .knowledge = POLICY_ONLINE,
    .create = create,
    .access = access,
    .destroy = destroy,
};
