/* SPDX-License-Identifier: MIT
 *
 * Running a command as if tat were not there: its signals, its stops and its end are passed on.
 */
#ifndef TAT_CLI_CHILD_H
#define TAT_CLI_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

/* Who looks at what runs. Processes that outlive their parents become tat's children, so that all can be found below
 * it. */
struct child_watch {
    /* Called less and less often while the command runs, until it returns false. */
    bool (*look)(void * state);
    /* The command has ended: is something that it started to be waited for? */
    bool (*goes_on)(void * state);
    /* May be NULL. Called once with the process that is about to become the command. False: it must not. */
    bool (*starts)(pid_t pid, void * state);
    /* May be NULL. Called in that process, afterwards. An errno says why it cannot become the command. */
    int (*prepare)(void * state);
    void * state;
};

/* Runs `path` with the arguments and waits for its end, and then for what goes on. Signals sent to tat alone are passed
 * on to it; those that the terminal sends reach it anyway. Where the terminal stops it, tat stops. Returns 0 and
 * *wait_status as wait(2) gives it, or the errno that says why it could not be started; ECANCELED: `starts` said so.
 * *left: a signal came while tat waited for what goes on, which was left running. */
int child_run(const char * path, char ** argv, const struct child_watch * watch, int * wait_status, bool * left);

/* What a shell would make of it: the exit status, or 128 + the signal's number. */
int child_status(int wait_status);

/* Ends as the child did, as strace does: by the same signal, without a core file, or with the same status. */
_Noreturn void child_end_alike(int wait_status);

#endif
