/* SPDX-License-Identifier: MIT
 *
 * Writes io_events.bin while a program runs. A thread of its own reads what the kernel tells and writes it; the traced
 * program does nothing for it.
 */
#ifndef TAT_IO_IO_RECORDER_H
#define TAT_IO_IO_RECORDER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "tat/error.h"

struct io_recorder;

/* What came of it. */
struct io_totals {
    uint64_t major, minor; /* faults recorded */
    uint64_t lost;         /* events of the kernel */
    uint64_t unwritten;    /* faults for which there was no room in the file */
    bool user_only;        /* faults inside system calls are not among them */
    uint64_t major_ns;     /* of all threads, in major faults, without what others ran meanwhile */
};

/* Begins with the process `pid`, which is to call exec later, and writes folder/io_events.bin, of at most so many
 * bytes. NULL with *error: the kernel or the file system refuses. */
struct io_recorder * io_recorder_start(pid_t pid, const char * folder, uint64_t bytes_most, struct tat_error * error);

/* Ends when the program has ended, closes the file and frees. NULL is allowed; *totals are zeros then. */
void io_recorder_stop(struct io_recorder * recorder, struct io_totals * totals);

#endif
