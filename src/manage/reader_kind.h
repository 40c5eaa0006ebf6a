/* SPDX-License-Identifier: MIT
 *
 * What both kinds of reader share, and the interface to each.
 */
#ifndef TAT_MANAGE_READER_KIND_H
#define TAT_MANAGE_READER_KIND_H

#include "manage/reader.h"

/* One read under way. */
struct read_slot {
    struct read_job job;
    uint64_t got;  /* bytes of the job that are there */
    uint64_t from; /* where the system continues: the page that `got` is in */
    struct iovec part[POOL_RUNS_MOST];
    unsigned n_parts; /* what is still to be read, from there */
    unsigned retries;
    int error;
    uint64_t began, disk_ns;
};

struct reader_engine {
    /* Makes `own`. May lower `depth`. Returns 0 or an errno. */
    int (*begin)(struct reader * reader);
    /* No read is under way. */
    void (*end)(struct reader * reader);
    void (*start)(struct reader * reader, unsigned slot);
    /* Writes up to `most` slots whose reads are over, and returns how many. Does not wait. */
    unsigned (*take)(struct reader * reader, unsigned * slots, unsigned most);
    /* Up to `most` slots whose reads the system refuses to begin by now: each once. NULL: there are none. */
    unsigned (*unsent)(struct reader * reader, unsigned * slots, unsigned most);
    /* Waits until a read ends or the bell is no longer BELL_SLEEPS. May return earlier. */
    void (*sleep)(struct reader * reader, uint64_t ns);
};

extern const struct reader_engine reader_threads, reader_uring;

/* The bell wakes a waiting reader without a descriptor. Only the reader sets it to QUIET or SLEEPS. Whoever wakes the
 * reader exchanges it for RUNG, and calls the kernel only if it was SLEEPS. */
enum { BELL_QUIET, BELL_RUNG, BELL_SLEEPS };

struct reader {
    enum reader_kind kind;
    const struct reader_engine * engine;
    void * own;                          /* the engine's */
    const struct reader_engine * before; /* that the system refuses by now; NULL: none. Its reads under way end yet */
    void * own_before;
    unsigned n_before; /* of these */
    unsigned depth;
    struct read_slot * slots;
    unsigned *idle, n_idle; /* slots that are not used */
    unsigned * over;        /* room for `take` */
    uint32_t bell;          /* release to ring, acquire to hear */
};

/* Takes the system's answer for the slot's read: a count of bytes, or a negative errno. True: the read is over, and
 * `error` is set. False: continue with `part`. */
bool read_slot_went(struct read_slot * slot, int64_t result);

/* Waits as long as the bell is BELL_SLEEPS. */
void reader_bell_wait(struct reader * reader, uint64_t ns);

#endif
