/* SPDX-License-Identifier: MIT
 *
 * What every file of the agent asks: is this process recorded, with which options, by which clock, may a block be
 * written now? It calls none of them; start.c, which knows them all, tells it the answers.
 */
#ifndef TAT_AGENT_AGENT_H
#define TAT_AGENT_AGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tat/agent.h"
#include "tat/format.h"

enum agent_state {
    AGENT_OFF = 0,     /* TAT_OFF is set, or no trace could be written */
    AGENT_WAITING = 1, /* no graph yet */
    AGENT_RECORDING = 2,
    AGENT_CLOSED = 3,
};

/* A stamp counts units of 16 ticks, some 6 ns: less than reading the counter takes, and a byte less per node. */
enum { AGENT_STAMP_SHIFT = 4 };

struct agent_options {
    enum tat_clock clock;
    bool is_private;
    uint64_t max_size;
    uint32_t templates_max;           /* in memory; some 25 KB each */
    uint64_t token_first, token_last; /* evaluations with none of these are stored without stamps */
};

/* Sets the options. Called before the agent has another thread and before any graph; from then on the agent waits for a
 * graph. */
void agent_configure(const struct agent_options * options);

const struct agent_options * agent_options(void);
enum tat_clock agent_clock(void);

/* Any thread; costs a load. */
enum agent_state agent_state(void);

/* Leaves AGENT_WAITING: the first graph has opened the trace, or could not. */
void agent_set_state(enum agent_state now);

/* What the program asked for with tat_agent_set_mode. Any thread. Setting returns the mode before. */
enum tat_agent_mode agent_mode(void);
enum tat_agent_mode agent_set_mode(enum tat_agent_mode wanted);

/* Enclose whatever writes a block and counts it. In between, the trace is not closed: what counts as emitted is stored
 * or lost by the time the END block says so. False: the trace is closed; write and count nothing. Any thread, no lock;
 * calls may nest. */
bool agent_enter(void);
void agent_leave(void);

/* Lets nobody enter any more, and waits up to a fifth of a second for those inside. A process can exit while other
 * threads compute; they are at most writing a block, unless they were stopped. Returns the state before. */
enum agent_state agent_close(void);

/* The counters of the END block: relaxed sums. */
struct agent_totals {
    uint64_t evaluations_emitted, evaluations_stored, evaluations_filtered;
    uint64_t callbacks_emitted, callbacks_stored;
    uint64_t lost[TAT_LOSS_COUNT]; /* evaluations, by reason */
};
extern struct agent_totals agent_totals;

/* Copies a path, cut to `size`. In a private run the home folder becomes "~". Returns the length. */
size_t agent_path(char * to, size_t size, const char * path);

/* Called in the child, which then waits for a graph of its own. */
void agent_after_fork(void);

#endif
