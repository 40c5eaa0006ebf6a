/* SPDX-License-Identifier: MIT */
#include "policy/policy.h"

#include <stdlib.h>

#include "policy/base.h"

const struct policy_kind * const policy_kinds[] = {
    &policy_lru,       &policy_fifo, &policy_clock, &policy_sieve, &policy_s3fifo, &policy_2q,
    &policy_arc,       &policy_lirs, &policy_lru2,  &policy_lfu,   &policy_lfuda,  &policy_wtinylfu,
    &policy_frequency, &policy_mru,  &policy_cycle, &policy_pin,   NULL,
};

#define CAPACITY_MAX (UINT64_MAX / 32) /* so that no sum of what is held and remembered wraps */

void * base_new(size_t size, const struct policy_kind * kind, uint64_t capacity, const struct policy_items * items) {
    struct policy * p = calloc(1, size);
    if (!p) { return NULL; }
    p->kind = kind;
    p->items = *items;
    p->capacity = capacity;
    p->held = calloc((size_t) items->count + 1, sizeof *p->held);
    p->evicted = malloc(((size_t) items->count + 1) * sizeof *p->evicted);
    if (p->held && p->evicted) { return p; }
    base_free(p);
    return NULL;
}

void base_free(struct policy * p) {
    free(p->held);
    free(p->evicted);
    free(p);
}

struct policy * policy_new(const struct policy_kind * kind, uint64_t capacity, const struct policy_items * items) {
    return kind->create(capacity < CAPACITY_MAX ? capacity : CAPACITY_MAX, items);
}

void policy_free(struct policy * policy) {
    if (policy) { policy->kind->destroy(policy); }
}

static uint64_t bytes_kept(const struct policy * p, uint32_t item) {
    return p->part ? p->part[item] : p->items.bytes[item];
}

uint64_t policy_access(struct policy * policy, uint32_t item) {
    policy->now++;
    policy->n_evicted = 0;
    return policy->kind->access(policy, item) ? bytes_kept(policy, item) : 0;
}

bool policy_resize(struct policy * policy, uint64_t capacity) {
    policy->n_evicted = 0;
    if (!policy->kind->evict) { return false; }
    policy->capacity = capacity < CAPACITY_MAX ? capacity : CAPACITY_MAX;
    while (policy->used > policy->capacity && policy->kind->evict(policy)) {}
    return true;
}

uint64_t policy_bytes_held(const struct policy * policy, uint32_t item) {
    return policy->held[item] ? bytes_kept(policy, item) : 0;
}

uint64_t policy_used(const struct policy * policy) {
    return policy->used;
}

const uint32_t * policy_evicted(const struct policy * policy, uint32_t * count) {
    *count = policy->n_evicted;
    return policy->evicted;
}
