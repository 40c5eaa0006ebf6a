/* SPDX-License-Identifier: MIT
 *
 * What the agent reports to `tat record`, by a pipe with a name in the run's folder.
 */
#ifndef TAT_CLI_AGENT_REPORTS_H
#define TAT_CLI_AGENT_REPORTS_H

/* The pipe's descriptor; -1 where the folder's file system has no pipes, and then nothing is reported. */
int agent_reports_open(const char * folder);

/* Prints what came, a line each, and returns how many. The last of it is the end of the pipe. `command`: "record" or
 * "run", who speaks. */
unsigned agent_reports_print(int pipe, const char * command, const char * folder);

/* Also removes it from the folder. */
void agent_reports_close(int pipe, const char * folder);

/* Tells the `tat record' that writes into `outer`, if there is one, that this process is one too, into `folder`. */
void agent_reports_tell(const char * outer, const char * folder);

/* What a `tat record` that was killed left of it, unless one still holds the folder: whoever copies a pipe waits. */
void agent_reports_forget(const char * folder);

#endif
