/* SPDX-License-Identifier: MIT
 *
 * Runs that were recorded into a folder of the user's choice, remembered so that they are listed with those of the
 * folder of traces they were recorded beside. The file is $XDG_STATE_HOME/tat/runs, or ~/.local/state/tat/runs: one
 * line a run, that folder of traces and the run's, both absolute, a tabulator between. A tabulator, a newline and a
 * backslash in a path stand there as \t, \n and \\. The file is a convenience: what fails is not told.
 */
#ifndef TAT_CLI_RUN_REGISTRY_H
#define TAT_CLI_RUN_REGISTRY_H

/* Remembers `run`, a folder with an absolute path, beside `traces`. The oldest are forgotten. */
void registry_add(const char * traces, const char * run);

/* Calls `each` with the runs beside `traces`, the oldest first, whether they are still there or not. */
void registry_each(const char * traces, void (*each)(const char * run, void * state), void * state);

#endif
