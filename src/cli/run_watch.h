/* SPDX-License-Identifier: MIT
 *
 * What `tat record` and `tat run` see of the processes of a run, from outside: who still runs, and why nothing came of
 * it. They look a few times at what these have mapped, until something has come; so nobody is looked at while graphs
 * are computed.
 */
#ifndef TAT_CLI_RUN_WATCH_H
#define TAT_CLI_RUN_WATCH_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "cli/child.h"
#include "cli/descendants.h"
#include "doctor/process.h"

/* A program in a process: one that replaces itself is several. */
struct seen {
    pid_t pid;
    uid_t user;
    char name[DESCENDANT_NAME], exe[PATH_MAX]; /* exe is "" where it cannot be seen */
    enum environment preload;                  /* our library in LD_PRELOAD */
    bool has_library, has_ggml, has_model;
    struct process mapped;
};

enum { SEEN_MAX = 32 };

struct run_watch {
    const char * command;  /* "record" or "run": who speaks */
    const char * folder;   /* that the processes write into: of the trace, or of the reports */
    const char * variable; /* in whose value they are told of it */
    const char *library, *program;
    struct seen * seen; /* SEEN_MAX of them; NULL before the first look */
    size_t n_seen;
    uint64_t ended; /* when the command was first seen to have, by clock_ns; 0 before */
    bool has_said;
    pid_t last; /* one that still ran when it was looked the last time */
    char last_name[DESCENDANT_NAME];
    pid_t bare;          /* one without an environment, then; 0 if each had one */
    uint64_t bare_since; /* since when some had none */
};

/* For child_run; the state is a struct run_watch. */
bool run_watch_look(void * state);
bool run_watch_goes_on(void * state);

/* Says who was left running, and for `record` where its trace will be. */
void run_watch_say_left(const struct run_watch * watch);

/* Says why no trace came or, for `run`, nothing was managed. */
void run_watch_say_why(const struct run_watch * watch, int wait_status);

void run_watch_free(struct run_watch * watch);

/* What a signal that killed the program tells besides its name, with ": " before it; or "". */
const char * run_watch_signal_cause(int number);

#endif
