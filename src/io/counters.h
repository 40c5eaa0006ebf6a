/* SPDX-License-Identifier: MIT
 *
 * What the kernel counts for a process, its memory cgroup, its disk and the machine, where it can be asked without
 * privilege.
 */
#ifndef TAT_IO_COUNTERS_H
#define TAT_IO_COUNTERS_H

#include <limits.h>

#include "io/io_writer.h"

struct counters {
    struct io_writer * writer;
    pid_t pid;

    char group[PATH_MAX]; /* for counters.c alone: when the process has ended, nothing says where it was */
    int version;
};

/* Tells the writer what they say now. `disk`: the model's, or 0. What cannot be had is not told. */
void counters_tell(struct counters * counters, uint64_t disk);

/* What the run's processes come to: call it when those that ended were waited for. */
void counters_tell_run(struct counters * counters);

#endif
