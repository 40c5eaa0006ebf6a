/* SPDX-License-Identifier: MIT
 *
 * A line that the library which manages memory wrote (manage/report.h), as managed.json has it (doc/format.md).
 */
#ifndef TAT_CLI_RUN_LINE_H
#define TAT_CLI_RUN_LINE_H

#include <jansson.h>
#include <stdbool.h>

/* "KIND KEY=VALUE KEY=VALUE" or "note TEXT": an object with "pid", "kind", "at_ns" (now) and each KEY, of a note
 * "text". What is not a number, or has a sign, stays text; numbers that are too large become the largest. The caller's.
 * NULL: the line has no kind, or memory. */
json_t * run_line_read(int pid, const char * line);

/* Whether a key has that text; "kind" is one. */
bool run_line_has(const json_t * line, const char * key, const char * text);

#endif
