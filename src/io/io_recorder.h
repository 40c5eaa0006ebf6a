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

struct io_options {
    pid_t pid;            /* a process that is to call exec later */
    const char * folder;  /* for io_events.bin */
    uint64_t bytes_most;  /* of it */
    bool is_private;      /* the home folder is ~ in paths */
    char * const * files; /* that the run is expected to use: n_files of them */
    size_t n_files;
};

enum { IO_WHY = sizeof((struct tat_error *) 0)->message };

/* What came of it. */
struct io_totals {
    uint64_t major, minor;            /* faults */
    uint64_t major_ns;                /* of all threads, in major faults, without what others ran meanwhile */
    bool user_only;                   /* faults inside system calls are not among them */
    bool on_disk;                     /* where the largest file lies is known */
    uint64_t filled_pages;            /* of the run's files */
    uint64_t requests, request_bytes; /* reads, of the disk that the largest file is on, whoever asked */
    uint64_t lost;                    /* events of the kernel */
    uint64_t unwritten;               /* events for which there was no room in the file */
    char no_faults[IO_WHY], no_pages[IO_WHY], no_requests[IO_WHY]; /* why there are none; "": there are */
};

/* Takes what sources it can have; what it cannot is said in the totals and in the file. NULL with *error: the file
 * cannot be written, or memory is short. One at a time. */
struct io_recorder * io_recorder_start(const struct io_options * options, struct tat_error * error);

/* Ends when the program has ended, closes the file and frees. NULL is allowed; *totals are zeros then. */
void io_recorder_stop(struct io_recorder * recorder, struct io_totals * totals);

#endif
