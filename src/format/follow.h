/* SPDX-License-Identifier: MIT
 *
 * Reading a trace while it is being written. What was read once is not read again: a look costs what came since the
 * last. The file is only read, and of it only whole blocks.
 */
#ifndef TAT_FORMAT_FOLLOW_H
#define TAT_FORMAT_FOLLOW_H

#include "tat/trace.h"

struct follow;

/* Follows a tensor_access.bin, or the one in a folder, whose header is written. NULL with *error. */
struct follow * follow_open(const char * path, struct tat_error * error);
void follow_close(struct follow * follow); /* NULL is allowed */

/* False: follow_read would find nothing new. The file has the same size, and no block begins where the last one ended, or
 * behind a gap there. What follow_trace handed out stays as it is. */
bool follow_has_more(struct follow * follow);

/* Takes in the blocks that were written since. *revised: evaluations that were there before have other phases now,
 * because they turned out to be warm-up. Returns 0, or -1 with *error (no memory, or the file became shorter than what
 * was read). */
int follow_read(struct follow * follow, bool * revised, struct tat_error * error);

/* The trace as far as it was read. Evaluations stand in the order of their blocks, so that their numbers
 * stay. The summary's totals are known only once the trace has ended. The next follow_read may change the trace and all
 * that it handed out. */
const struct tat_trace * follow_trace(const struct follow * follow);

#endif
