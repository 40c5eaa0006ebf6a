/* SPDX-License-Identifier: MIT
 *
 * Running a command as if tat were not there: its signals, its stops and its end are passed on.
 */
#ifndef TAT_CLI_CHILD_H
#define TAT_CLI_CHILD_H

/* Runs `path` with the arguments and waits for its end. Signals sent to tat alone are passed on to it; those that the
 * terminal sends reach it anyway. When it stops, tat stops. Returns 0 and *wait_status as wait(2) gives it, or the
 * errno that says why it could not be started. */
int child_run(const char * path, char ** argv, int * wait_status);

/* What a shell would make of it: the exit status, or 128 + the signal's number. */
int child_status(int wait_status);

/* Ends as the child did, as strace does: by the same signal, without a core file, or with the same status. */
_Noreturn void child_end_alike(int wait_status);

#endif
