/* SPDX-License-Identifier: MIT */
#include "manage/experts.h"

#include <pthread.h>
#include <stdlib.h>

#include "manage/thread.h"

#define NO_ITEM UINT32_MAX
enum { SLICES_MOST = 8 };

struct expert {
    uint32_t slice[SLICES_MOST];
    uint32_t n_slices;
};

struct experts {
    pthread_mutex_t lock;
    struct policy * policy;
    struct expert * item;
    uint64_t * bytes;   /* by item */
    uint32_t * item_of; /* by piece */
    uint32_t n_items;
    uint32_t * gone; /* slices that go, for the caller */
    struct experts_totals totals;
};

/* The first stack of a router numbers its experts; the others join them. */
static void number(struct experts * x, const struct schedule * s, uint32_t stack, const uint64_t * bytes) {
    const struct schedule_stack * now = &s->stack[stack];
    uint32_t first = x->n_items;
    for (uint32_t i = 0; i < stack; i++) {
        if (s->stack[i].router == now->router && s->stack[i].experts == now->experts) {
            first = x->item_of[s->stack[i].piece];
            break;
        }
    }
    if (x->item_of[now->piece] != NO_ITEM) { return; } /* a stack that is used twice */
    for (uint32_t e = 0; e < now->experts; e++) {
        struct expert * item = &x->item[first + e];
        if (item->n_slices == SLICES_MOST) { continue; }
        item->slice[item->n_slices++] = now->piece + e;
        x->item_of[now->piece + e] = first + e;
        x->bytes[first + e] += bytes[now->piece + e];
    }
    if (first == x->n_items) { x->n_items += now->experts; }
}

struct experts * experts_new(const struct schedule * schedule, uint32_t n_pieces, const uint64_t * bytes,
                             uint64_t capacity, const struct policy_kind * policy) {
    struct experts * x = calloc(1, sizeof *x);
    if (!x) { return NULL; }
    lock_init(&x->lock);
    x->item = calloc((size_t) n_pieces + 1, sizeof *x->item);
    x->bytes = calloc((size_t) n_pieces + 1, sizeof *x->bytes);
    x->item_of = malloc(((size_t) n_pieces + 1) * sizeof *x->item_of);
    x->gone = malloc(2 * ((size_t) n_pieces + 1) * sizeof *x->gone);
    if (x->item && x->bytes && x->item_of && x->gone) {
        for (uint32_t i = 0; i < n_pieces; i++) { x->item_of[i] = NO_ITEM; }
        for (uint32_t i = 0; i < schedule->n_stacks; i++) { number(x, schedule, i, bytes); }
        const struct policy_items items = { .bytes = x->bytes, .count = x->n_items };
        if (x->n_items) { x->policy = policy_new(policy, capacity, &items); }
    }
    if (x->policy) { return x; }
    experts_free(x);
    return NULL;
}

void experts_free(struct experts * x) {
    if (!x) { return; }
    policy_free(x->policy);
    free(x->item);
    free(x->bytes);
    free(x->item_of);
    free(x->gone);
    free(x);
}

/* Adds the slices of what the policy evicted last to those that go. For one router an item can go twice: before it is
 * chosen, and after. */
static uint32_t add_evicted(struct experts * x, uint32_t n_gone) {
    uint32_t count;
    const uint32_t * evicted = policy_evicted(x->policy, &count);
    for (uint32_t i = 0; i < count; i++) {
        const struct expert * item = &x->item[evicted[i]];
        for (uint32_t k = 0; k < item->n_slices; k++) { x->gone[n_gone++] = item->slice[k]; }
    }
    return n_gone;
}

/* Those that the disk had time for come before the policy asks for them. */
static bool are_in(const struct expert * item, const struct resident * resident) {
    for (uint32_t i = 0; i < item->n_slices; i++) {
        if (!resident_is_in(resident, item->slice[i])) { return false; }
    }
    return item->n_slices > 0;
}

struct pieces_asked experts_choose(struct experts * x, const uint32_t * pieces, uint32_t count,
                                   const struct resident * resident, bool * stay) {
    pthread_mutex_lock(&x->lock);
    uint32_t n_gone = 0;
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t item = x->item_of[pieces[i]];
        if (item == NO_ITEM) { continue; }
        const uint64_t before = policy_access(x->policy, item);
        x->totals.wanted += x->bytes[item];
        x->totals.kept += before;
        x->totals.held += before || !are_in(&x->item[item], resident) ? before : x->bytes[item];
        n_gone = add_evicted(x, n_gone);
    }
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t item = x->item_of[pieces[i]];
        stay[i] = item != NO_ITEM && policy_bytes_held(x->policy, item) > 0;
    }
    pthread_mutex_unlock(&x->lock);
    return (struct pieces_asked){ x->gone, n_gone };
}

void experts_resize(struct experts * x, uint64_t capacity, struct resident * resident) {
    pthread_mutex_lock(&x->lock);
    if (policy_resize(x->policy, capacity)) {
        uint32_t count;
        const uint32_t * evicted = policy_evicted(x->policy, &count);
        for (uint32_t i = 0; i < count; i++) {
            resident_drop(resident, x->item[evicted[i]].slice, x->item[evicted[i]].n_slices);
        }
    }
    pthread_mutex_unlock(&x->lock);
}

/* A program that ends itself in a signal handler may come here while its thread holds the lock. */
struct experts_totals experts_totals(struct experts * x) {
    const bool is_locked = pthread_mutex_lock(&x->lock) == 0;
    const struct experts_totals totals = x->totals;
    if (is_locked) { pthread_mutex_unlock(&x->lock); }
    return totals;
}
