/* SPDX-License-Identifier: MIT
 *
 * One event for each request to a disk, out of what the block layer tells of it: it is given to the driver (issue), it
 * may go back to the queue (requeue), and it is completed, at once or in parts. The same for events of the running
 * kernel and for traces that other tools recorded. Tell it of them in the order of time.
 *
 * A request is known by its disk and by the first byte that is not complete yet. What is queued, inserted, merged,
 * split or remapped before a request is issued is not told: only a request moves bytes.
 */
#ifndef TAT_IO_REQUESTS_H
#define TAT_IO_REQUESTS_H

#include <stdbool.h>
#include <stdint.h>

#include "format/list.h"
#include "tat/io.h"

struct request_event {
    uint64_t ns;            /* on any clock, the same for all */
    uint64_t disk;          /* makedev() of the whole disk */
    uint64_t offset, bytes; /* in bytes, from the beginning of the whole disk; a requeue needs no bytes */
    uint32_t pid;           /* 0: not known */
    uint32_t flags;         /* enum tat_io_request_flag */
};

typedef void (*requests_sink)(const struct tat_io_request * request, void * user);

struct requests {
    requests_sink sink; /* gets each request when it is complete; `end_ns` is on the clock of the events */
    void * user;

    uint64_t complete;   /* requests that the sink got with beginning and end */
    uint64_t unbegun;    /* that it got with a duration of 0: their beginning was not seen */
    uint64_t unfinished; /* their end was not seen; the sink got what parts of them were complete, if any */
    uint64_t requeued;   /* returns to the queue. The time of a request is from where it was issued first */
    uint64_t reissued;   /* issued once more though nobody told of a requeue: its time is from the last issue */
    uint64_t parts;      /* completions that left a part of the request */
    uint64_t lost;       /* issues for which memory was short */

    /* For requests.c alone. */
    struct list open;
    uint32_t * buckets;
    uint32_t n_open, free, oldest, newest;
};

#define REQUESTS(sink_, user_) ((struct requests){ .sink = (sink_), .user = (user_) })

/* At most so many requests are open; beyond, the one that was issued first counts as unfinished. */
enum { REQUESTS_OPEN_MOST = 1 << 16 };

/* Events of no bytes, as flushes are, do nothing. */
void requests_issue(struct requests * requests, const struct request_event * event);
void requests_requeue(struct requests * requests, const struct request_event * event);
void requests_complete(struct requests * requests, const struct request_event * event);

/* Some events before now were lost: what is open may be complete, and counts as unfinished. */
void requests_forget(struct requests * requests);

/* Forgets, and frees. The counts stay. */
void requests_end(struct requests * requests);

/* The flags that a request's letters stand for, as trace events and blkparse print them ("RA", "WFSM"). False: it
 * neither reads nor writes, but discards, flushes, or does something else. They end with a NUL or after `length`. */
bool request_flags(const char * letters, size_t length, uint32_t * flags);

/* makedev() of a number as the kernel keeps it, in trace events and in blktrace's files. */
uint64_t disk_of_kernel(uint32_t device);

#endif
