/* SPDX-License-Identifier: MIT */
#include "agent/agent.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct agent_totals agent_totals;

static struct agent_options options; /* written before there is a second thread */
static int state = AGENT_OFF;        /* enum agent_state */
static int busy;                     /* threads between agent_enter and agent_leave */
static int mode = TAT_AGENT_RECORD;  /* enum tat_agent_mode */

void agent_configure(const struct agent_options * wanted) {
    options = *wanted;
    state = AGENT_WAITING;
}

const struct agent_options * agent_options(void) {
    return &options;
}

enum tat_clock agent_clock(void) {
    return options.clock;
}

enum agent_state agent_state(void) {
    return (enum agent_state) __atomic_load_n(&state, __ATOMIC_RELAXED);
}

void agent_set_state(enum agent_state now) {
    __atomic_store_n(&state, (int) now, __ATOMIC_RELAXED);
}

enum tat_agent_mode agent_mode(void) {
    return (enum tat_agent_mode) __atomic_load_n(&mode, __ATOMIC_RELAXED);
}

enum tat_agent_mode agent_set_mode(enum tat_agent_mode wanted) {
    return (enum tat_agent_mode) __atomic_exchange_n(&mode, (int) wanted, __ATOMIC_RELAXED);
}

/* The order of these two accesses matters: either the closing thread sees this one as busy, or this one sees the
 * closing. */
bool agent_enter(void) {
    __atomic_fetch_add(&busy, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&state, __ATOMIC_SEQ_CST) != AGENT_CLOSED) { return true; }
    agent_leave();
    return false;
}

void agent_leave(void) {
    __atomic_fetch_sub(&busy, 1, __ATOMIC_SEQ_CST);
}

enum agent_state agent_close(void) {
    enum { PAUSE_NS = 50000, PAUSES = 4000 };
    const int before = __atomic_exchange_n(&state, AGENT_CLOSED, __ATOMIC_SEQ_CST);
    if (before != AGENT_RECORDING) { return (enum agent_state) before; }
    const struct timespec pause = { .tv_nsec = PAUSE_NS };
    for (int i = 0; i < PAUSES && __atomic_load_n(&busy, __ATOMIC_SEQ_CST); i++) { nanosleep(&pause, NULL); }
    return AGENT_RECORDING;
}

size_t agent_path(char * to, size_t size, const char * path) {
    const char * home = options.is_private ? getenv("HOME") : NULL;
    const size_t n = home ? strlen(home) : 0;
    const bool inside = n > 1 && strncmp(path, home, n) == 0 && path[n] == '/';
    const int length = snprintf(to, size, "%s%s", inside ? "~" : "", inside ? path + n : path);
    return length < 0 ? 0 : (size_t) length < size ? (size_t) length : size - 1;
}

void agent_after_fork(void) {
    memset(&agent_totals, 0, sizeof agent_totals);
    busy = 0;
    state = AGENT_WAITING;
}
