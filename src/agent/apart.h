/* SPDX-License-Identifier: MIT
 *
 * Work on files that the host may hold open. To close any descriptor of a file drops all record locks (fcntl, lockf)
 * that the process has on it, whoever took them: SQLite and LMDB rely on such locks. They belong to a table of
 * descriptors, so a thread with a table of its own opens and closes what it likes. The host's table stays untouched
 * too: neither are its numbers taken, nor does a file stay open.
 */
#ifndef TAT_AGENT_APART_H
#define TAT_AGENT_APART_H

#include <stdbool.h>

/* `apart`: descriptors may be closed. Where the system refuses a table of one's own, they must stay open. */
typedef void apart_work(void * argument, bool apart);

/* Does the work in another thread, which takes no signals, and waits for it. False: there was no thread. */
bool apart_do(apart_work * work, void * argument);

#endif
