/* SPDX-License-Identifier: MIT
 *
 * What the library that manages memory tells `tat run`, and how `tat run` tells the user. The library writes lines into
 * a named pipe (manage/report.h), in a folder of its own that is removed in the end.
 */
#ifndef TAT_CLI_RUN_REPORT_H
#define TAT_CLI_RUN_REPORT_H

#include <jansson.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "cli/machine_load.h"
#include "tat/error.h"

struct run_report {
    char folder[PATH_MAX], path[PATH_MAX]; /* of the pipe; empty: there is none */
    int pipe, stop;
    pthread_t thread;
    bool is_heard;
    int pid;               /* of the first process that wrote; the thread's until run_report_close */
    unsigned open;         /* begun and not ended; likewise */
    json_t * so_far;       /* what the first process said last of what came of it, a second ago or less; or NULL */
    atomic_uint lines;     /* that came, and said anything */
    atomic_bool has_begun; /* something is managed */
    json_t * said;         /* all lines, as an array of objects; the thread's until run_report_close */
    unsigned n_so_far;     /* in it */
    /* Set after opening, or NULL: what to predict of a run whose begin line has no prediction, in tokens a second times
     * 1000; 0: nobody knows. Called by the thread. */
    uint64_t (*predict)(const json_t * begin, void * state);
    void * predict_state;
    struct whole_disk disk;   /* that the model is on; likewise */
    uint64_t predicted;       /* the thread's */
    struct machine_load load; /* when the first process began to manage; likewise */
};

/* Makes the pipe, in $TMPDIR or /tmp, and removes what a killed `tat run` left there. 0, or -1 with *error: then
 * nothing can be reported. */
int run_report_open(struct run_report * report, struct tat_error * error);

/* Prints lines to stderr as they come, from a thread of its own: after the command has been forked. */
void run_report_listen(struct run_report * report);

/* Prints what has come, and removes the pipe. */
void run_report_close(struct run_report * report);

/* Then writes what was said into the folder of a trace, as managed.json, and the plan that the run went by (NULL: none)
 * beside it. 0, or -1 with *error. */
int run_report_keep(const struct run_report * report, const char * folder, const json_t * plan,
                    struct tat_error * error);

void run_report_free(struct run_report * report);

#endif
