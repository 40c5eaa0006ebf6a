/* SPDX-License-Identifier: MIT
 *
 * The trace of this process: its folder, its header, its closing blocks. The first graph opens it.
 */
#ifndef TAT_AGENT_RUN_H
#define TAT_AGENT_RUN_H

#include <stdbool.h>

#include "agent/host.h"

/* True if this process is recorded. The first call opens the trace; later ones cost a load and a comparison. Any
 * thread. */
bool run_is_recorded(const struct host * host);

/* Called at exit, while other threads may still compute. */
void run_close(void);

void run_after_fork(void);

#endif
