/* SPDX-License-Identifier: MIT */
#include "agent/token_filter.h"

#include <stdlib.h>
#include <string.h>

#include "agent/agent.h"
#include "agent/cold_lock.h"
#include "format/warmup.h"

/* Used only if certain tokens were asked for. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    uint64_t * tokens; /* by the context's number, from 1 */
    uint8_t * times;   /* how often each was warmed up */
    uint32_t contexts; /* there is room for numbers below this */
    struct warmup warmup;
} counted;

static bool has_room(uint32_t context) {
    if (context < counted.contexts) { return true; }
    const uint32_t more = context < UINT32_MAX / 2 ? 2 * context + 64 : UINT32_MAX;
    uint64_t * tokens = realloc(counted.tokens, more * sizeof *tokens);
    if (tokens) { counted.tokens = tokens; }
    uint8_t * times = realloc(counted.times, more * sizeof *times);
    if (times) { counted.times = times; }
    if (!tokens || !times) { return false; }
    memset(tokens + counted.contexts, 0, (more - counted.contexts) * sizeof *tokens);
    memset(times + counted.contexts, 0, (more - counted.contexts) * sizeof *times);
    counted.contexts = more;
    return true;
}

static bool asked_for_all(void) {
    return agent_options()->token_first == 0 && agent_options()->token_last == UINT64_MAX;
}

bool tokens_count(uint32_t context, uint32_t n_tokens, bool has_output) {
    if (asked_for_all() || context == 0) { return true; }
    const int before = cold_lock(&lock);
    uint64_t first = 0;
    if (!has_room(context)) { /* then all of it is recorded */
        cold_unlock(&lock, before);
        return true;
    }
    if (!counted.warmup.on) {
        warmup_graph(&counted.warmup, counted.times, context, n_tokens, has_output);
        first = counted.tokens[context];
        counted.tokens[context] += n_tokens;
    }
    const bool warms_up = counted.warmup.on;
    cold_unlock(&lock, before);
    if (warms_up) { return agent_options()->token_first == 0; }
    return first <= agent_options()->token_last && first + n_tokens > agent_options()->token_first;
}

static bool tells_warmup(int type) {
    return type == TAT_EVENT_WARMUP || type == TAT_EVENT_LOAD_END || type == TAT_EVENT_MEMORY_CLEAR;
}

void tokens_event(int type, int64_t value) {
    if (asked_for_all() || !tells_warmup(type)) { return; }
    const int before = cold_lock(&lock);
    if (type == TAT_EVENT_WARMUP) {
        counted.warmup.on = value != 0;
    } else if (type == TAT_EVENT_LOAD_END) {
        warmup_load(&counted.warmup, counted.times);
    } else {
        const uint32_t warmed = warmup_clear(&counted.warmup, counted.times);
        for (uint32_t i = 0; i < warmed; i++) { counted.tokens[counted.warmup.context[i].number] = 0; }
    }
    cold_unlock(&lock, before);
}

void tokens_after_fork(void) {
    pthread_mutex_init(&lock, NULL);
    memset(&counted, 0, sizeof counted);
}
