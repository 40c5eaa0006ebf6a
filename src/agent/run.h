/* SPDX-License-Identifier: MIT
 *
 * The trace of this process: its folder, its header, its closing blocks. The first graph opens it.
 */
#ifndef TAT_AGENT_RUN_H
#define TAT_AGENT_RUN_H

#include <stdbool.h>

#include "agent/host.h"

/* True if this process is recorded; opens the trace where it is the first to ask. Any thread; a load and a comparison
 * from then on. */
bool run_is_recorded(const struct host * host);

/* At exit; other threads may still compute. */
void run_close(void);

void run_after_fork(void);

#endif
