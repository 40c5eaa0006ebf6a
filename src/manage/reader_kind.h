/* SPDX-License-Identifier: MIT
 *
 * What the kinds of reader share, and how each is driven.
 */
#ifndef TAT_MANAGE_READER_KIND_H
#define TAT_MANAGE_READER_KIND_H

#include "manage/reader.h"

/* One read under way. */
struct read_slot {
    struct read_job job;
    uint64_t got;  /* bytes of the job that are there */
    uint64_t from; /* where the system is asked to go on: a page at or before `got` */
    struct iovec part[POOL_RUNS_MOST];
    unsigned n_parts; /* what it is asked for, from there */
    unsigned retries;
    int error;
    uint64_t began, disk_ns;
};

struct reader_engine {
    /* Makes `own`, for `depth` reads, or lowers it. Returns 0 or an errno. */
    int (*begin)(struct reader * reader);
    /* Nothing is under way. */
    void (*end)(struct reader * reader);
    void (*start)(struct reader * reader, unsigned slot);
    /* Slots whose reads are over, up to `most`; does not wait. */
    unsigned (*take)(struct reader * reader, unsigned * slots, unsigned most);
    /* Until a read ends or the bell is no longer BELL_SLEEPS; it may also return for no reason. */
    void (*sleep)(struct reader * reader, uint64_t ns);
};

extern const struct reader_engine reader_threads, reader_uring;

/* The bell is how a reader that waits is woken, without a descriptor. Only the reader makes it QUIET or SLEEPS; whoever
 * wakes it exchanges it for RUNG, and calls the kernel only if it was SLEEPS. */
enum { BELL_QUIET, BELL_RUNG, BELL_SLEEPS };

struct reader {
    enum reader_kind kind;
    const struct reader_engine * engine;
    void * own; /* the engine's */
    unsigned depth;
    struct read_slot * slots;
    unsigned *idle, n_idle; /* slots that are not used */
    unsigned * over;        /* room for `take` */
    uint32_t bell;          /* release to ring, acquire to hear */
};

/* What the system said of the slot's read: a count of bytes, or a negative errno. True: it is over, with what is in
 * `error`, and nothing writes to its parts. False: it has to go on with `part`. */
bool read_slot_went(struct read_slot * slot, int64_t result);

/* Waits while the bell is BELL_SLEEPS. */
void reader_bell_wait(struct reader * reader, uint64_t ns);

uint64_t reader_now(void);

#endif
