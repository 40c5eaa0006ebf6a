/* SPDX-License-Identifier: MIT
 *
 * The agent's one background thread. It keeps the files of all open sinks ahead of their writers, so that no writer
 * makes a system call, and ticks.
 */
#ifndef TAT_AGENT_KEEPER_H
#define TAT_AGENT_KEEPER_H

#include <stdbool.h>

#include "agent/sink.h"

/* From now on the sink is kept until it is closed; the thread starts with the first one and ends with the last. With
 * the sink's lock held and all signals blocked. False: the thread could not be started; errno says why. */
bool keeper_add(struct sink * sink);

void keeper_after_fork(void);

#endif
