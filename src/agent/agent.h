/* SPDX-License-Identifier: MIT
 *
 * What every file of the agent asks: is this process recorded, with which options, by which clock, may a block be
 * written now. It calls none of them; start.c, which knows them all, tells it what is so.
 */
#ifndef TAT_AGENT_AGENT_H
#define TAT_AGENT_AGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tat/agent.h"
#include "tat/format.h"

enum agent_state {
    AGENT_OFF = 0,     /* TAT_OFF, or a trace could not be written */
    AGENT_WAITING = 1, /* no graph yet */
    AGENT_RECORDING = 2,
    AGENT_CLOSED = 3,
};

/* Stamps count 16 ticks: some 6 ns, which is less than reading the counter takes, and a byte less a node. */
enum { AGENT_STAMP_SHIFT = 4 };

struct agent_options {
    enum tat_clock clock;
    bool is_private;
    uint64_t max_size;
    uint32_t templates_max;           /* kept in memory: some 25 KB each */
    uint64_t token_first, token_last; /* evaluations with none of these are written without stamps */
};

/* Before any other thread of the agent's and any graph: what is asked for. From then on the agent waits for a graph. */
void agent_configure(const struct agent_options * options);

const struct agent_options * agent_options(void);
enum tat_clock agent_clock(void);

/* Any thread; a load. */
enum agent_state agent_state(void);

/* From waiting on: the first graph has, or could not have, opened the trace. */
void agent_set_state(enum agent_state now);

/* What the program asks for by tat_agent_set_mode; any thread. Setting returns the mode before. */
enum tat_agent_mode agent_mode(void);
enum tat_agent_mode agent_set_mode(enum tat_agent_mode wanted);

/* Around whatever writes a block and counts it: between the two, the trace is not closed, so that what is emitted is
 * stored or lost when the END block says so. False: it is closed, and nothing more may be written or counted. Any
 * thread, no lock; may be nested. */
bool agent_enter(void);
void agent_leave(void);

/* Nobody enters any more; waits, for a fifth of a second at most, for those that have. A process can exit while other
 * threads compute: they are at most writing a block, unless they were stopped. Returns the state before. */
enum agent_state agent_close(void);

/* Counters of the END block; relaxed sums. */
struct agent_totals {
    uint64_t evaluations_emitted, evaluations_stored, evaluations_filtered;
    uint64_t callbacks_emitted, callbacks_stored;
    uint64_t lost[TAT_LOSS_COUNT]; /* evaluations, by reason */
};
extern struct agent_totals agent_totals;

/* Copies a path, cut if it is too long; in a private run the home folder becomes "~". Returns the length. */
size_t agent_path(char * to, size_t size, const char * path);

/* In the child, which waits for a graph of its own. */
void agent_after_fork(void);

#endif
