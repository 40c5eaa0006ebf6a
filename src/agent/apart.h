/* SPDX-License-Identifier: MIT
 *
 * Works on files that the host may hold open. Closing any descriptor of a file drops all record locks (fcntl, lockf)
 * that the process has on it, whoever took them; SQLite and LMDB rely on such locks. Locks belong to a table of
 * descriptors, so a thread with a table of its own may open and close what it likes. The host's table stays as it was:
 * no number in it is taken, and no file stays open.
 */
#ifndef TAT_AGENT_APART_H
#define TAT_AGENT_APART_H

#include <stdbool.h>

/* `apart`: descriptors may be closed. Otherwise the system refused a table of their own, and they must stay open. */
typedef void apart_work(void * argument, bool apart);

/* Gives the calling thread a new table of descriptors without the host's, so that a pipe that the host closes meanwhile
 * is really closed. Threads that it starts from then on share it. False: the system refused. */
bool apart_leave_descriptors(void);

/* Does the work in another thread, which takes no signals, and waits for it. False: no thread could be started. */
bool apart_do(apart_work * work, void * argument);

#endif
