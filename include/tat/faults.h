/* SPDX-License-Identifier: MIT
 *
 * The page faults of a run, placed in its trace: which weight each was for, which operation and which token waited.
 * `tat record --io` records them beside the trace.
 */
#ifndef TAT_FAULTS_H
#define TAT_FAULTS_H

#include "tat/filter.h"
#include "tat/io.h"

#ifdef __cplusplus
extern "C" {
#endif

/* How far a fault could be placed: the first that is true. */
enum tat_fault_place {
    TAT_FAULT_IN_OPERATION, /* an operation that ran at that time touches the page */
    TAT_FAULT_OUTSIDE,      /* a weight's page, while no graph was computed: loading, or between two graphs */
    TAT_FAULT_UNWANTED,     /* a weight's page, which no operation touches that ran at that time */
    TAT_FAULT_NO_WEIGHT,    /* in the model's file, but in no tensor of the trace */
    TAT_FAULT_OTHER_FILE,
    TAT_FAULT_NO_FILE, /* in the program, its libraries, or memory that was swapped out */
    TAT_FAULT_OTHER_PROCESS,
    TAT_FAULT_PLACE_COUNT
};

struct tat_fault {
    int64_t end_ns;       /* since the trace began; negative: before */
    uint64_t duration_ns; /* 0: its beginning was lost */
    uint64_t preempted_ns;
    uint64_t address;
    uint64_t file_offset; /* of the byte, if `file` is not 0 */
    uint32_t pid, tid;
    uint32_t flags;      /* enum tat_io_flag */
    uint32_t place;      /* enum tat_fault_place */
    uint32_t file;       /* number of the trace's model file; 0: in none */
    uint32_t tensor;     /* the weight, or TAT_NO_TENSOR */
    uint32_t evaluation; /* that was computed at that time, or TAT_NO_EVALUATION */
    uint16_t op;         /* of TAT_FAULT_IN_OPERATION; else TAT_NO_OP */
    uint16_t expert;     /* of the weight's stack, or TAT_NO_EXPERT */
};

/* Never changes, so that any number of threads may ask it. */
struct tat_faults;

/* Reads io_events.bin beside the trace, or beside that of the run's first process, and places what is in it. The trace
 * must live longer. Close it with tat_faults_close, which takes NULL. NULL on failure, with *error: TAT_ERROR_NO if
 * there is no such file, else what is wrong with it, or no memory. */
struct tat_faults * tat_faults_open(const struct tat_trace * trace, struct tat_error * error);
void tat_faults_close(struct tat_faults * f);

/* All that is in the file, as tat_io_read gives it: times are those of CLOCK_MONOTONIC. Never NULL; do not free it. */
const struct tat_io * tat_faults_events(const struct tat_faults * f);

/* The faults by their ends. NULL is possible if there are none. */
const struct tat_fault * tat_faults_all(const struct tat_faults * f, size_t * count);

/* Which faults pass a filter, one flag for each. Conditions on weights are about the fault's weight, those on
 * evaluations about the one that was computed at that time, those on times about all of its duration. A fault meets no
 * condition on what it lacks. 0, or -1 with *error, as of tat_filter_choose. */
int tat_faults_choose(const struct tat_faults * f, const struct tat_filter * filter, bool * chosen,
                      struct tat_error * error);

#ifdef __cplusplus
}
#endif
#endif
