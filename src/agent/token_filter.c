/* SPDX-License-Identifier: MIT */
#include "agent/token_filter.h"

#include <string.h>

#include "agent/agent.h"

enum {
    CONTEXTS = 1024,   /* of those beyond, everything is recorded */
    WARMUP_TOKENS = 2, /* as in the reader */
};

/* All relaxed: events and the evaluations they are about come from one thread, or from threads that wait for each
 * other. */
static uint64_t counts[CONTEXTS];
static uint64_t total;
static bool any, warming, cleared, settled;

static bool asked_for_all(void) {
    return agent_options()->token_first == 0 && agent_options()->token_last == UINT64_MAX;
}

bool tokens_count(uint32_t context, uint32_t n_tokens) {
    if (asked_for_all() || context == 0 || context > CONTEXTS) { return true; }
    __atomic_fetch_add(&total, n_tokens, __ATOMIC_RELAXED);
    __atomic_store_n(&any, true, __ATOMIC_RELAXED);
    __atomic_store_n(&cleared, false, __ATOMIC_RELAXED);
    if (__atomic_load_n(&warming, __ATOMIC_RELAXED)) { return agent_options()->token_first == 0; }
    const uint64_t first = __atomic_fetch_add(&counts[context - 1], n_tokens, __ATOMIC_RELAXED);
    return first <= agent_options()->token_last && first + n_tokens > agent_options()->token_first;
}

/* The first reset after a graph ends a warm-up, if the memory was cleared and no more than a warm-up's tokens were
 * seen. */
static void reset(void) {
    if (__atomic_load_n(&settled, __ATOMIC_RELAXED) || !__atomic_load_n(&any, __ATOMIC_RELAXED)) { return; }
    __atomic_store_n(&settled, true, __ATOMIC_RELAXED);
    if (!__atomic_load_n(&cleared, __ATOMIC_RELAXED) || __atomic_load_n(&total, __ATOMIC_RELAXED) > WARMUP_TOKENS) {
        return;
    }
    for (int i = 0; i < CONTEXTS; i++) { __atomic_store_n(&counts[i], 0, __ATOMIC_RELAXED); }
}

void tokens_event(int type, int64_t value) {
    switch (type) {
        case TAT_EVENT_WARMUP: __atomic_store_n(&warming, value != 0, __ATOMIC_RELAXED); break;
        case TAT_EVENT_MEMORY_CLEAR: __atomic_store_n(&cleared, true, __ATOMIC_RELAXED); break;
        case TAT_EVENT_PERF_RESET: reset(); break;
        default: break;
    }
}

void tokens_after_fork(void) {
    memset(counts, 0, sizeof counts);
    total = 0;
    any = warming = cleared = settled = false;
}
