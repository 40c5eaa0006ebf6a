/* SPDX-License-Identifier: MIT
 *
 * Tokens as they pass: computing, one thread that starts reads and maps what was read, and a disk. It knows neither
 * models nor traces. What it leaves out is in doc/plan.md.
 */
#ifndef TAT_PLAN_TIMELINE_H
#define TAT_PLAN_TIMELINE_H

#include <stdbool.h>
#include <stdint.h>

#include "plan/disk_bursts.h"

enum timeline_kind {
    TIMELINE_STREAM, /* in order, as soon as it may be read */
    TIMELINE_CHOSEN, /* before streams; guessed before that, it is read while nothing else is to be */
    TIMELINE_WASTED, /* guessed and not chosen */
    TIMELINE_FAULT,  /* by a page fault of who computes */
};

/* On the clock of computing alone, in ns. */
struct timeline_read {
    uint64_t at;      /* needed from then on; never falls from one read to the next. WASTED: it is known to be wrong */
    uint64_t from;    /* the earliest that it is read, unless it is guessed; <= at */
    uint64_t guessed; /* <= from; the same: it is not guessed */
    uint64_t bytes;
    enum timeline_kind kind;
    double fault_ns; /* of FAULT */
};

struct timeline_machine {
    struct disk_bursts disk; /* while nobody computes */
    struct disk_bursts while_computing;
    bool together;            /* the disk tells of no read before all that are under way have ended */
    uint64_t ring;            /* bytes that what streams passes through */
    unsigned at_once;         /* reads under way, at most BURST_READS */
    unsigned guesses_at_once; /* of these, guesses */
    double map_ns_per_byte;   /* to put what was read to its address, and to take it away again; half of it each */
    double start_ns;          /* to start a read */
    double wake_ns;           /* until a thread runs that waits for another one */
    double taken;             /* of the time that the thread works while others compute, the share that they lose */
};

/* Nanoseconds that passed on no clock of computing. */
struct timeline_loss {
    double waited; /* for a read */
    double taken;  /* by the thread that starts reads and maps, while others computed */
};

/* Sets lost[i]: from the read before, or the begin, until computing went on with read i. *ahead: the most bytes that
 * were read, or being read, before they were needed. False: memory. */
bool timeline_run(const struct timeline_machine * machine, const struct timeline_read * reads, uint32_t n,
                  struct timeline_loss * lost, uint64_t * ahead);

#endif
