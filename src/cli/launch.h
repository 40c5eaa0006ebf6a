/* SPDX-License-Identifier: MIT
 *
 * What `tat record` and `tat run` do alike: they start a command with one of our libraries in it.
 */
#ifndef TAT_CLI_LAUNCH_H
#define TAT_CLI_LAUNCH_H

/* Has the dynamic linker load the library before all others, those that LD_PRELOAD names already included. 0, or -1
 * with errno. */
int launch_preload(const char * library);

/* Why the command could not be started, by its errno. Returns the exit status that shells give: 127 if there is no such
 * program, 126 if it cannot be run. `command`: "record" or "run". */
int launch_not_started(const char * command, const char * name, int why);

/* In the process that becomes the command: the user is who called, and SIGXFSZ does what it did before tat ignored it.
 * 0 or an errno. */
int launch_prepare(void (*too_large)(int));

#endif
