/* SPDX-License-Identifier: MIT
 *
 * Faults out of what the kernel tells: beginning and end, and only those in files that are mapped as data, and
 * those that waited.
 */
#ifndef TAT_IO_FAULTS_H
#define TAT_IO_FAULTS_H

#include "format/list.h"
#include "io/perf_events.h"

struct fault {
    uint32_t pid, tid;
    bool major, in_file;       /* in_file: in a file that is mapped as data */
    uint64_t begin_ns, end_ns; /* CLOCK_MONOTONIC; begin_ns is 0 where the beginning was lost */
    uint64_t preempted_ns;     /* how long others ran in place of its thread meanwhile, though it could have run */
    uint64_t address;
};

struct faults {
    struct list threads, files; /* for faults.c alone */
    uint64_t lost;              /* events that the kernel, or we, had no room for */
    uint64_t ignored;           /* minor faults elsewhere: in memory that is no file's, in libraries */
};

/* False: it is not a fault that is wanted. */
bool faults_see(struct faults * faults, const struct perf_event * event, struct fault * fault);

void faults_free(struct faults * faults);

#endif
