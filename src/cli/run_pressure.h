/* SPDX-License-Identifier: MIT
 *
 * --memory and --cold of `tat record` and `tat run`: what is done for them before the program begins and after it has
 * ended, and what is said of it.
 */
#ifndef TAT_CLI_RUN_PRESSURE_H
#define TAT_CLI_RUN_PRESSURE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "tat/error.h"
#include "tat/run.h"

struct run_pressure {
    const char * command; /* "record" or "run": who speaks */
    bool is_managed;     /* tat run: the library keeps to the limit where no cgroup can be made, and reads past the page
                          * cache, so nothing has to be evicted */
    uint64_t limit;      /* --memory; 0: none */
    bool is_cold;        /* --cold */
    const char ** named; /* --cold=FILE: n_named of them */
    size_t n_named;
    bool has_small_context; /* the command asks for 512 or less */
    bool has_copies;        /* and for weights that are copied instead of mapped */
    bool has_locked;        /* or locked in memory */
    struct memory_group * group;
    struct tat_run_memory memory; /* once the program has ended */
    struct tat_run_cold_file * cold;
    size_t n_cold;
};

/* --cold=FILE; NULL: --cold. */
void run_pressure_add_cold(struct run_pressure * pressure, const char * file);

/* Makes the group, says what of the memory the command will need, and evicts the model's files from the page cache. A
 * limit counts only pages that the group reads, so it implies --cold in `tat record`. Call it before there is a second
 * thread. 0, or -1 with *error. */
int run_pressure_begin(struct run_pressure * pressure, char ** command, struct tat_error * error);

/* Puts the process, which is to become the program, into the group. 0, or -1 with *error. */
int run_pressure_enter(const struct run_pressure * pressure, pid_t pid, struct tat_error * error);

/* Notes and says what came of it, and removes the group, or leaves that to the reaper. Does nothing where nothing was
 * begun. */
void run_pressure_end(struct run_pressure * pressure);

/* For the metadata of a trace; points into both. */
struct tat_run_info run_pressure_info(const struct run_pressure * pressure, char ** command, int wait_status);

void run_pressure_free(struct run_pressure * pressure);

#endif
