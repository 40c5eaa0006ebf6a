/* SPDX-License-Identifier: MIT
 *
 * What all programs together do with the processors and a disk, as sums since the machine was started.
 */
#ifndef TAT_CLI_MACHINE_LOAD_H
#define TAT_CLI_MACHINE_LOAD_H

#include <stdint.h>

#include "system/whole_disk.h"

/* 0: not known. */
struct machine_load {
    uint64_t at_ns;              /* CLOCK_MONOTONIC */
    uint64_t busy_ns, stolen_ns; /* of all processors: programs and the kernel; given to other machines */
    uint64_t disk_bytes;         /* that the disk read and wrote */
    unsigned processors;
};

struct machine_load machine_load_now(const struct whole_disk * disk);

#endif
