/* SPDX-License-Identifier: MIT
 *
 * The trace of a run: its folder before the program begins, and what is written beside it and said of it afterwards.
 */
#ifndef TAT_CLI_RECORDING_H
#define TAT_CLI_RECORDING_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "tat/error.h"
#include "tat/run.h"

struct recording {
    const char * command; /* "record" or "run": who speaks */
    char folder[PATH_MAX];
    /* after recording_finish */
    unsigned traces;   /* that were made */
    unsigned failures; /* that the agent reported, and were said */
    bool is_gone;      /* somebody took the folder away meanwhile */
    /* its own */
    bool is_remembered;
    int lock, reports;
    struct timespec began;
    const struct tat_run_info * info;
    int wait_status;
    bool left;
};

/* Makes the folder, `wanted` or a new one among the traces, and tells the agent by the environment, as the user has
 * said TAT_PRIVATE there. `max_size`: of the trace; 0: none was given. 0, or -1 with *error. */
int recording_begin(struct recording * recording, const char * command, const char * wanted, uint64_t max_size,
                    struct tat_error * error);

/* The program has ended: prints what agents reported. */
void recording_say_reports(struct recording * recording);

/* Then writes what stands beside each trace, and says in a line what it comes to. `left`: processes of the run were
 * left running. */
void recording_finish(struct recording * recording, const struct tat_run_info * info, int wait_status, bool left);

/* There was no run: removes the folder. What is not ours stays, and the folder with it. */
void recording_cancel(struct recording * recording);

/* Lets go of the folder. */
void recording_end(struct recording * recording);

#endif
