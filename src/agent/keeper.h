/* SPDX-License-Identifier: MIT
 *
 * The agent's one background thread. It does, every few milliseconds, what must not be done where the program computes:
 * a sink has it keep its file ahead of the writers.
 */
#ifndef TAT_AGENT_KEEPER_H
#define TAT_AGENT_KEEPER_H

#include <stdbool.h>

/* A chore that returns false has ended: it is not called again. */
typedef bool keeper_chore(void * object);

/* From now on the chore is done for the object; the thread starts with the first one and ends with the last. The chore
 * is called without any lock of the keeper's, so the caller may hold the lock that the chore takes. To be called with
 * all signals blocked, which the thread inherits: it takes none of the program's. False: it could not be started; errno
 * says why. */
bool keeper_add(keeper_chore * chore, void * object);

void keeper_after_fork(void);

#endif
