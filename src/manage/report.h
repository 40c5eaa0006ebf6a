/* SPDX-License-Identifier: MIT
 *
 * What the library tells `tat run`, by a named pipe that `tat run` holds open: a line each.
 */
#ifndef TAT_MANAGE_REPORT_H
#define TAT_MANAGE_REPORT_H

/* Writes "PID LINE" and the line's end into the pipe at `path`, in one write, so lines of several processes do not mix.
 * `line` begins with what kind it is (cli/run_words.h); a line break in it becomes a space, and what exceeds PIPE_BUF
 * is cut. Nothing happens where `path` is empty or is not a pipe, or the pipe is full. Never waits, allocates nothing,
 * keeps errno. Any thread. */
void manage_report(const char * path, const char * line);

#endif
