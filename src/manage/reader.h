/* SPDX-License-Identifier: MIT
 *
 * Reads many pieces of files at once, past the page cache if the descriptor has O_DIRECT. It uses io_uring or, where
 * that is forbidden, threads that call preadv. One thread makes the reader, starts reads and collects the results; any
 * thread may wake it.
 *
 * The thread that makes it has a table of descriptors of its own (agent/apart.c shows how), so that the program can
 * neither close what the reader uses nor find it in its own table. The reader's threads share that table. Threads that
 * wake it need not: waking takes a futex, never a descriptor. A job's descriptor is looked up when the read starts, and
 * again when a short read is continued.
 *
 * Every failure is reported as the error of one `read_done`. The contents of that job's parts are then undefined, but
 * nothing writes to them any more. If io_uring is forbidden from some moment on, reads under way still complete, and
 * threads do all later ones.
 */
#ifndef TAT_MANAGE_READER_H
#define TAT_MANAGE_READER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "manage/pool.h"

struct reader;

enum reader_kind {
    READER_ANY, /* io_uring if it is allowed, otherwise threads */
    READER_URING,
    READER_THREADS,
};

enum read_how {
    READ_INTO,     /* the parts */
    READ_WILLNEED, /* into the page cache alone, for a mapping of the file: the one part. MADV_WILLNEED ... */
    READ_POPULATE, /* ... or MADV_POPULATE_READ, which waits and makes the pages present */
    READ_THROUGH,  /* into the page cache, by reading into memory that nobody looks at */
};

struct read_job {
    enum read_how how; /* all but READ_INTO: only by threads */
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
    uint64_t bytes;   /* fewer than asked for: the file ended. The rest of the parts is then zeroed, as a mapping shows
                       * the rest of the file's last page. In a mapping, pages wholly behind the end raise SIGBUS */
    uint64_t disk_ns; /* from its start until its end was noticed */
};

/* `depth`: how many reads can be under way at once; fewer if the system refuses that many threads. Its threads block
 * all signals. NULL: errno says why. */
struct reader * reader_new(enum reader_kind kind, unsigned depth);

/* Waits for the reads under way, then frees. NULL is allowed. The child of a fork must not call it: the reader's
 * threads are the parent's. */
void reader_free(struct reader * reader);

enum reader_kind reader_kind_of(const struct reader * reader);

/* How many more reads can be started now. */
unsigned reader_room(const struct reader * reader);

/* Copies the job. A short read is continued until the file ends. Call it only if there is room. */
void reader_start(struct reader * reader, const struct read_job * job);

/* Waits until a read is done, reader_wake has been called since the last wait ended, or the time is over. Writes up to
 * `most` results, and returns how many. */
unsigned reader_wait(struct reader * reader, struct read_done * done, unsigned most, uint64_t timeout_ns);

/* Any thread may call it. It makes a system call only if the reader is waiting. */
void reader_wake(struct reader * reader);

#endif
