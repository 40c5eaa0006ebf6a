/* SPDX-License-Identifier: MIT */
#include "analysis/caching/outcomes.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "analysis/caching/bound.h"

bool simulate(const struct cache_string * s, const struct policy_kind * kind, uint64_t capacity, struct again * again) {
    const struct policy_items items = { s->bytes, s->value, s->n_items };
    *again = (struct again){ 0 };
    if (cache_string_capacity(s, capacity) >= sum(s->first_sampled)) { return true; } /* nothing is evicted */
    struct policy * policy = policy_new(kind, cache_string_capacity(s, capacity), &items);
    struct phase_bytes missed = { 0 };
    if (!policy) { return false; }
    uint32_t i = 0;
    for (uint32_t g = 0; g < s->graphs.count; g++) {
        uint64_t bytes = 0;
        for (; i < graph_at(s, g)->end; i++) {
            const uint32_t item = item_at(s, i);
            bytes += s->bytes[item] - policy_access(policy, item);
        }
        add_to(&missed, graph_at(s, g)->generated, bytes);
    }
    policy_free(policy);
    *again = cache_string_scaled(
        s, (struct again){ sum(missed) - sum(s->first_sampled), missed.generated - s->first_sampled.generated });
    return true;
}

/* ---- all of them, by several threads ---- */

/* The threads share what they read, and each writes the outcomes of its own numbers: `next` deals them out, and joining
 * makes them visible. */
struct work {
    struct outcomes * outcomes;
    atomic_uint next;
    atomic_bool failed;
};

static bool find_policy(struct outcomes * o, unsigned strategy) {
    for (unsigned size = 0; size < SIZES; size++) {
        if (o->capacity[size] &&
            !simulate(o->string, policy_kinds[strategy], o->capacity[size], &o->again[strategy][size])) {
            return false;
        }
    }
    return true;
}

static bool find_min(struct outcomes * o, unsigned strategy) {
    struct bound bound;
    const bool good = bound_begin(&bound, o->string);
    for (unsigned size = 0; size < SIZES && good; size++) {
        if (o->capacity[size]) { o->again[strategy][size] = bound_find(&bound, o->capacity[size]); }
    }
    bound_end(&bound);
    return good;
}

static void * work_on(void * state) {
    struct work * w = state;
    struct outcomes * o = w->outcomes;
    for (unsigned at; (at = atomic_fetch_add_explicit(&w->next, 1, memory_order_relaxed)) < o->n_strategies;) {
        const unsigned strategy = o->n_strategies - 1 - at; /* MIN takes longest */
        const bool good = policy_kinds[strategy] ? find_policy(o, strategy) : find_min(o, strategy);
        if (!good) { atomic_store_explicit(&w->failed, true, memory_order_relaxed); }
    }
    return NULL;
}

bool outcomes_find(struct outcomes * o, const struct cache_string * string, uint64_t weight_bytes, uint64_t given) {
    enum { THREADS = 8 };
    pthread_t thread[THREADS];
    long n = sysconf(_SC_NPROCESSORS_ONLN), started = 0;
    *o = (struct outcomes){ .string = string };
    while (policy_kinds[o->n_strategies] && o->n_strategies < STRATEGIES_MAX - 1) { o->n_strategies++; }
    o->n_strategies++;
    for (unsigned part = 0; part < PARTS; part++) {
        o->capacity[part] = (uint64_t) ((__uint128_t) weight_bytes * (part + 1) / PARTS);
    }
    o->capacity[GIVEN] = given;
    struct work work = { .outcomes = o };
    for (n = n < THREADS ? n : THREADS; started + 1 < n; started++) {
        if (pthread_create(&thread[started], NULL, work_on, &work) != 0) { break; }
    }
    work_on(&work);
    while (started-- > 0) { pthread_join(thread[started], NULL); }
    return !atomic_load_explicit(&work.failed, memory_order_relaxed);
}
