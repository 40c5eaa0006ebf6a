/* SPDX-License-Identifier: MIT
 *
 * S3-FIFO (Yang, Zhang, Qiu, Yue, Rashmi: FIFO queues are all you need for cache eviction, SOSP 2023), in bytes: a
 * small queue for newcomers, a tenth of the cache; a main queue for what was asked for again; and a ghost queue of what
 * the small one let go, as many bytes as the main one.
 */
#include <stdlib.h>

#include "policy/base.h"

enum { USES_MAX = 3, MOVES = 2 /* uses in the small queue that lead to the main one */ };

enum place { NOWHERE, IN_SMALL, IN_MAIN, IN_GHOST };

struct s3fifo {
    struct policy base;
    struct queue small, main, ghost;
    uint64_t small_bytes, main_bytes, ghost_bytes, small_most;
    struct link * links;
    uint8_t * uses;  /* by item */
    uint8_t * place; /* by item: enum place */
};

static void destroy(struct policy * base) {
    struct s3fifo * p = (struct s3fifo *) base;
    free(p->links);
    free(p->uses);
    free(p->place);
    base_free(base);
}

static struct policy * create(uint64_t capacity, const struct policy_items * items) {
    const uint32_t n = items->count;
    struct s3fifo * p = base_new(sizeof *p, &policy_s3fifo, capacity, items);
    if (!p) { return NULL; }
    p->links = malloc(((size_t) n + 3) * sizeof *p->links);
    p->uses = calloc((size_t) n + 1, sizeof *p->uses);
    p->place = calloc((size_t) n + 1, sizeof *p->place);
    if (!p->links || !p->uses || !p->place) {
        destroy(&p->base);
        return NULL;
    }
    queue_begin(&p->small, p->links, n);
    queue_begin(&p->main, p->links, n + 1);
    queue_begin(&p->ghost, p->links, n + 2);
    p->small_most = capacity / 10;
    return &p->base;
}

static uint64_t bytes_of(const struct s3fifo * p, uint32_t item) {
    return p->base.items.bytes[item];
}

static void forget(struct s3fifo * p, uint32_t item) {
    queue_remove(&p->ghost, item);
    p->ghost_bytes -= bytes_of(p, item);
    p->place[item] = NOWHERE;
}

static void remember(struct s3fifo * p, uint32_t item) {
    queue_add(&p->ghost, item);
    p->ghost_bytes += bytes_of(p, item);
    p->place[item] = IN_GHOST;
    while (p->ghost_bytes > p->base.capacity - p->small_most) { forget(p, queue_oldest(&p->ghost)); }
}

static void add_main(struct s3fifo * p, uint32_t item) {
    queue_add(&p->main, item);
    p->main_bytes += bytes_of(p, item);
    p->place[item] = IN_MAIN;
    p->uses[item] = 0;
}

/* The oldest of the small queue leaves it: for the main one, or the cache. */
static void leave_small(struct s3fifo * p) {
    const uint32_t item = queue_oldest(&p->small);
    queue_remove(&p->small, item);
    p->small_bytes -= bytes_of(p, item);
    if (p->uses[item] >= MOVES) {
        add_main(p, item);
    } else {
        base_evict(&p->base, item);
        remember(p, item);
    }
}

/* The oldest of the main queue goes round again for each use it had, or leaves the cache. */
static void leave_main(struct s3fifo * p) {
    const uint32_t item = queue_oldest(&p->main);
    queue_remove(&p->main, item);
    if (p->uses[item]) {
        p->uses[item]--;
        queue_add(&p->main, item);
        return;
    }
    p->main_bytes -= bytes_of(p, item);
    p->place[item] = NOWHERE;
    base_evict(&p->base, item);
}

static bool access(struct policy * base, uint32_t item) {
    struct s3fifo * p = (struct s3fifo *) base;
    if (base->held[item]) {
        if (p->uses[item] < USES_MAX) { p->uses[item]++; }
        return true;
    }
    if (!base_may_hold(base, item)) { return false; }
    const bool known = p->place[item] == IN_GHOST;
    if (known) { forget(p, item); }
    while (!base_fits(base, item)) {
        if (!queue_is_empty(&p->small) && (p->small_bytes > p->small_most || queue_is_empty(&p->main))) {
            leave_small(p);
        } else {
            leave_main(p);
        }
    }
    if (known) {
        add_main(p, item);
    } else {
        queue_add(&p->small, item);
        p->small_bytes += bytes_of(p, item);
        p->place[item] = IN_SMALL;
        p->uses[item] = 0;
    }
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
