/* SPDX-License-Identifier: MIT
 *
 * Lines that blkparse printed with a format of its option -f.
 */
#ifndef TAT_BLOCKTRACE_LINE_FORMAT_H
#define TAT_BLOCKTRACE_LINE_FORMAT_H

#include "blocktrace/events.h"

/* 0, or -1 with *error (TAT_ERROR_USAGE): lines of this format do not tell what is needed. */
int line_format_check(const char * format, struct tat_error * error);

/* One line, of the format in the reader's options. */
void line_format_read(struct block_reader * reader, const char * line, size_t length);

#endif
