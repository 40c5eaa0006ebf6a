/* SPDX-License-Identifier: MIT
 *
 * Reading the I/O events of a run, which `tat record --io` writes beside the trace. doc/format.md describes the file.
 */
#ifndef TAT_IO_H
#define TAT_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tat/error.h"
#include "tat/format.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A page fault of the traced program or of a process that it started. */
struct tat_io_fault {
    uint64_t end_ns;       /* CLOCK_MONOTONIC */
    uint64_t duration_ns;  /* from where the processor reported it; 0: its beginning was lost */
    uint64_t preempted_ns; /* of that, how long others ran in place of its thread, though it could have run */
    uint64_t address;
    uint32_t pid, tid;
    uint32_t flags; /* enum tat_io_flag */
};

struct tat_io {
    struct tat_file_header header;
    struct tat_io_fault * faults; /* by end_ns */
    size_t n_faults;
    uint64_t ignored, lost; /* what TAT_IO_IGNORED and TAT_IO_LOST come to */
    uint64_t damaged_bytes; /* that could not be read */
    bool partial;           /* TAT_IO_PARTIAL */
    bool ended;             /* false: it is still written, or was cut off, and the last faults are missing */
};

/* Reads all of a file of I/O events; `path` is the file or the folder of its run. 0; or -1 with *error: there is no
 * such file, it is of another kind, or memory is short. What tat_io_read has filled, tat_io_free frees. Thread-safe as
 * long as threads do not share *io. */
int tat_io_read(const char * path, struct tat_io * io, struct tat_error * error);
void tat_io_free(struct tat_io * io);

#ifdef __cplusplus
}
#endif

#endif
