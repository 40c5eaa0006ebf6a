/* SPDX-License-Identifier: MIT
 *
 * Where a plan is wanted and there is no trace: runs a command for a few tokens, and records them.
 */
#ifndef TAT_CLI_BRIEF_RECORDING_H
#define TAT_CLI_BRIEF_RECORDING_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "tat/error.h"

enum {
    BRIEF_TOKENS = 32,        /* generated ones; then the command is ended */
    BRIEF_TOKENS_LEAST = 4,   /* fewer tell nothing */
    BRIEF_SECONDS_MOST = 300, /* then what there is has to do */
};

struct brief_recording {
    char folder[PATH_MAX];    /* of the trace */
    char temporary[PATH_MAX]; /* that holds it; empty: the trace is the user's */
    int lock;                 /* on that, so that nobody takes it for left behind */
    uint64_t tokens;
    double seconds;
};

/* Runs the command with `tat record` or, where its model does not fit in memory, with `tat run --record`, and ends it
 * once it has generated enough. It reads nothing, and its output goes nowhere. `keep`: the folder for the trace; "": a
 * new one among the traces; NULL: a temporary one. Says on stderr what it does, as `who`. A signal that ends tat ends
 * the recording first. Call it before there is a second thread. 0, or -1 with *error: then nothing is left. */
int brief_recording_make(struct brief_recording * recording, const char * who, char ** command, const char * keep,
                         struct tat_error * error);

/* Removes what is temporary. */
void brief_recording_end(struct brief_recording * recording);

#endif
