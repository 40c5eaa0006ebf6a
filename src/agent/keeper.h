/* SPDX-License-Identifier: MIT
 *
 * The agent's one background thread. Fifty times a second it does what must not be done where the program computes; for
 * a sink, it takes room on the disk ahead of the writers.
 */
#ifndef TAT_AGENT_KEEPER_H
#define TAT_AGENT_KEEPER_H

#include <stdbool.h>

/* A chore that returns false has ended and is not called again. */
typedef bool keeper_chore(void * object);

/* From now on the keeper does the chore for the object, once however often it was asked to, until the chore says that
 * it has ended in a call that began after the last asking. Its thread starts with the first chore and ends with the
 * last. It calls a chore without holding a lock of its own, so the caller may hold the lock that the chore takes. Call
 * this with all signals blocked: the thread inherits the mask and takes none of the program's. False: it could not be
 * started, and errno says why. */
bool keeper_add(keeper_chore * chore, void * object);

void keeper_after_fork(void);

#endif
