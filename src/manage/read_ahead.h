/* SPDX-License-Identifier: MIT
 *
 * Reads that bring a part of a file into the page cache, and nowhere else.
 */
#ifndef TAT_MANAGE_READ_AHEAD_H
#define TAT_MANAGE_READ_AHEAD_H

#include "manage/reader.h"

/* Does a job that is not READ_INTO. Returns 0 or an errno. Any thread. */
int read_ahead(const struct read_job * job);

#endif
