/* SPDX-License-Identifier: MIT
 *
 * Opening the trace that a command is about.
 */
#ifndef TAT_CLI_RUN_OPEN_H
#define TAT_CLI_RUN_OPEN_H

#include <limits.h>

#include "tat/trace.h"

/* The trace that a user means (run_resolve), for the caller to close, and its folder in `path`. Where nobody wrote what
 * stands beside a trace, because it was recorded without `tat record` or that was killed, it is written now; not while
 * the run is still going on, and not at all if the folder cannot be written to. NULL with *error. */
struct tat_trace * run_open(const char * argument, char path[static PATH_MAX], struct tat_error * error);

/* `tat record` has not finished with the folder; true as well if it is not a folder. */
bool run_is_locked(const char * folder);

/* The traced process still runs, as far as its number and its age tell, and has not closed the trace. */
bool run_is_alive(const struct tat_trace * trace);

#endif
