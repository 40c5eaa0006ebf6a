/* SPDX-License-Identifier: MIT
 *
 * biosnoop and its like: names of columns, then a line for each request.
 */
#ifndef TAT_BLOCKTRACE_COLUMNS_H
#define TAT_BLOCKTRACE_COLUMNS_H

#include "blocktrace/events.h"

/* False: the line is neither, or there were no names yet. */
bool columns_read(struct block_reader * reader, const char * line, size_t length);

/* The names that were met have no column for what places a request, as those of bpftrace's biosnoop.bt. */
bool columns_lack_place(const struct block_reader * reader);

void columns_free(struct block_reader * reader);

#endif
