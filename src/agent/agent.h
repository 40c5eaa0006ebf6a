/* SPDX-License-Identifier: MIT
 *
 * The life of the agent in one process: asleep until the first graph is computed, then recording until exit.
 */
#ifndef TAT_AGENT_AGENT_H
#define TAT_AGENT_AGENT_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/host.h"
#include "tat/agent.h"

enum agent_state {
    AGENT_OFF       = 0, /* TAT_OFF, or a trace could not be written */
    AGENT_WAITING   = 1, /* no graph yet */
    AGENT_RECORDING = 2,
    AGENT_CLOSED    = 3,
};

/* Stamps count 16 ticks: some 6 ns, which is less than reading the counter takes, and a byte less a node. */
enum { AGENT_STAMP_SHIFT = 4 };

struct agent_options {
    bool     is_private;
    uint64_t max_size;
    uint32_t templates_max;           /* kept in memory: some 25 KB each */
    uint64_t token_first, token_last; /* evaluations with none of these are written without stamps */
};

/* Copies a path, cut if it is too long; in a private run the home folder becomes "~". Returns the length. */
size_t agent_path(char * to, size_t size, const char * path);

enum tat_clock               agent_clock(void);
const struct agent_options * agent_options(void);
bool                         agent_is_waiting(void);

/* True if this process records; the first graph opens the trace. Any thread; a load and a comparison once it records.
 */
bool agent_records(const struct host * host);

/* What the program asked for by tat_agent_set_mode; relaxed atomic. */
enum tat_agent_mode agent_mode(void);

/* Around whatever writes a block and counts it: between the two, the trace is not closed, so that what is emitted is
 * stored or lost when the END block says so. False: it is closed, and nothing more may be written or counted. Any
 * thread, no lock; may be nested. */
bool agent_enter(void);
void agent_leave(void);

/* Counters of the END block; relaxed sums. */
struct agent_totals {
    uint64_t evaluations_emitted, evaluations_stored, evaluations_filtered;
    uint64_t callbacks_emitted, callbacks_stored;
    uint64_t lost[TAT_LOSS_COUNT]; /* evaluations, by reason */
};
extern struct agent_totals agent_totals;

#endif
