/* SPDX-License-Identifier: MIT
 *
 * The part of a policy that all have.
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

#endif
