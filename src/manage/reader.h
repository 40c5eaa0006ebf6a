/* SPDX-License-Identifier: MIT
 *
 * Many reads of files at once, past the page cache where the file system can (O_DIRECT). By io_uring; where that is
 * forbidden, by threads that call preadv. One thread makes the reader, starts reads and takes what is done; any thread
 * may wake it.
 *
 * The thread that makes it has a table of descriptors of its own (agent/apart.c shows how), so that the program can
 * neither close what the reader uses nor find it in its own table. All that the reader opens is in that table, and so
 * are the threads that it starts. Whoever wakes it is not: waking takes a futex, never a descriptor. Which file a job's
 * descriptor is, is looked up when the job is started, and again where a short read is gone on with.
 *
 * A read that fails, for whatever reason, is a `read_done` with an error. What its parts hold then is undefined. Once
 * it is reported, nothing writes to them any more. If io_uring's own descriptor is lost, reads that are under way end
 * as they would have, and all later ones fail.
 */
#ifndef TAT_MANAGE_READER_H
#define TAT_MANAGE_READER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "manage/pool.h"

struct reader;

enum reader_kind {
    READER_ANY, /* io_uring, or else threads */
    READER_URING,
    READER_THREADS,
};

struct read_job {
    int fd;
    uint64_t offset;                   /* of a page */
    uint64_t bytes;                    /* whole pages; the file may end before */
    struct iovec part[POOL_RUNS_MOST]; /* whole pages, `bytes` together */
    unsigned n_parts;
    uint64_t tag; /* the caller's */
};

struct read_done {
    uint64_t tag;
    int error;        /* errno, or 0 */
    uint64_t bytes;   /* all, or less: the file ended. Then the rest of the parts is zeroed, as the rest of the file's
                       * last page is in a mapping of it; a page wholly behind the end is SIGBUS there */
    uint64_t disk_ns; /* from its start until its end was noticed */
};

/* `depth`: reads at once, or fewer where there cannot be so many threads. Its threads take no signals. NULL: errno says
 * why. */
struct reader * reader_new(enum reader_kind kind, unsigned depth);

/* Waits for the reads that were started, then frees. NULL is allowed. Not in the child of a fork, which has none of its
 * threads and must leave it alone. */
void reader_free(struct reader * reader);

enum reader_kind reader_kind_of(const struct reader * reader);

/* How many more reads can be started now. */
unsigned reader_room(const struct reader * reader);

/* Copies the job. A short read of the system is gone on with until the file ends. Only if there is room. */
void reader_start(struct reader * reader, const struct read_job * job);

/* Waits until a read is done, reader_wake was called since the last wait ended, or so many nanoseconds are over.
 * Returns how many are in `done`, up to `most`. */
unsigned reader_wait(struct reader * reader, struct read_done * done, unsigned most, uint64_t timeout_ns);

/* Any thread. A system call only if the reader waits. */
void reader_wake(struct reader * reader);

#endif
