/* SPDX-License-Identifier: MIT
 *
 * What the policies share: the part of a policy that all have, and queues of items.
 */
#ifndef TAT_POLICY_BASE_H
#define TAT_POLICY_BASE_H

#include "policy/policy.h"

/* The first member of each kind's own struct. */
struct policy {
    const struct policy_kind * kind;
    struct policy_items items;
    uint64_t capacity, used;
    uint64_t now;          /* the number of this access, from 1 */
    bool * held;           /* by item */
    const uint64_t * part; /* by item: bytes of it that are kept when it is held. NULL: all */
    uint32_t * evicted;
    uint32_t n_evicted;
};

/* A zeroed struct of `size` bytes with that part in it; NULL: memory. */
void * base_new(size_t size, const struct policy_kind * kind, uint64_t capacity, const struct policy_items * items);
void base_free(struct policy * p);

static inline void base_hold(struct policy * p, uint32_t item) {
    p->held[item] = true;
    p->used += p->items.bytes[item];
}

static inline void base_evict(struct policy * p, uint32_t item) {
    p->held[item] = false;
    p->used -= p->items.bytes[item];
    p->evicted[p->n_evicted++] = item;
}

/* An item that the whole cache has no room for is passed by. */
static inline bool base_may_hold(const struct policy * p, uint32_t item) {
    return p->items.bytes[item] <= p->capacity;
}

static inline bool base_fits(const struct policy * p, uint32_t item) {
    return p->items.bytes[item] <= p->capacity - p->used;
}

/* Links of queues that share the items: each is in one of them at most. */
struct link {
    uint32_t before, after;
};

/* A ring through the items and an end of its own, whose number is past them. */
struct queue {
    struct link * link; /* one for each item, and for the ends of all queues */
    uint32_t end;
};

static inline void queue_begin(struct queue * q, struct link * link, uint32_t end) {
    *q = (struct queue){ link, end };
    link[end] = (struct link){ end, end };
}

static inline bool queue_is_empty(const struct queue * q) {
    return q->link[q->end].before == q->end;
}

static inline uint32_t queue_oldest(const struct queue * q) {
    return q->link[q->end].before;
}

static inline void queue_remove(struct queue * q, uint32_t item) {
    const struct link l = q->link[item];
    q->link[l.before].after = l.after;
    q->link[l.after].before = l.before;
}

static inline void queue_add(struct queue * q, uint32_t item) {
    const uint32_t first = q->link[q->end].after;
    q->link[item] = (struct link){ q->end, first };
    q->link[first].before = item;
    q->link[q->end].after = item;
}

#endif
