/* SPDX-License-Identifier: MIT
 *
 * Reading a trace while it is being written. What was read once is not read again: a look costs what came since the
 * last. The file is only read, and of it only what is committed.
 */
#ifndef TAT_FORMAT_FOLLOW_H
#define TAT_FORMAT_FOLLOW_H

#include "tat/trace.h"

struct follow;

/* Of a tensor_access.bin or its folder, whose header is written. NULL with *error. */
struct follow * follow_open(const char * path, struct tat_error * error);
void follow_close(struct follow * follow); /* NULL is allowed */

/* Takes in what was committed since. *revised: phases of evaluations that were there before are other ones now, since
 * they turned out to be warm-up. 0, or -1 with *error (memory, or the file became shorter than what was read). */
int follow_read(struct follow * follow, bool * revised, struct tat_error * error);

/* As far as it was read: evaluations stand in the order in which they were committed, so that their numbers stay.
 * Totals of the summary are known only once it has ended. It changes with the next follow_read, and so may all that it
 * handed out. */
const struct tat_trace * follow_trace(const struct follow * follow);

#endif
