/* SPDX-License-Identifier: MIT
 *
 * What the kernel tells of a program and all that it starts: page faults, when threads stop and go on, what they map.
 * That needs no privilege where kernel.perf_event_paranoid is 2 or less, and nothing is left behind: what is open ends
 * with the process that opened it.
 */
#ifndef TAT_IO_PERF_EVENTS_H
#define TAT_IO_PERF_EVENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "io/requests.h"
#include "tat/error.h"

enum perf_kind {
    PERF_FAULT_BEGINS,
    PERF_FAULT_MAJOR, /* it has ended, and waited for the disk, or for another thread that did */
    PERF_FAULT_MINOR, /* it has ended */
    PERF_STOPS,       /* the thread no longer runs */
    PERF_GOES_ON,     /* it runs again */
    PERF_MAPS,        /* a file, as data or code */
    PERF_EXECS,       /* the process has nothing mapped any more */
    PERF_FORKS,
    PERF_EXITS, /* a thread; the process, where it is the first */
    PERF_LOST,
    /* Of the whole system (io/system_events.h): */
    PERF_PAGES_COME, /* into the page cache */
    PERF_PAGES_LEAVE,
    PERF_REQUEST_ISSUED, /* to a disk's driver */
    PERF_REQUEST_REQUEUED,
    PERF_REQUEST_COMPLETED, /* a part of it, or all */
};

struct perf_event {
    enum perf_kind kind;
    uint32_t pid, tid;
    uint64_t ns;    /* CLOCK_MONOTONIC; of LOST, of what came before it */
    uint64_t order; /* in which it was read; what happens to a thread at one moment is read in its order */
    union {
        uint64_t address; /* of a fault */
        bool preempted;   /* STOPS: it could have run on */
        uint32_t parent;  /* FORKS: a process; a thread has its own process there */
        uint64_t count;   /* LOST */
        struct {
            uint64_t address, bytes, inode, device;
            char * path; /* as the process sees it; NULL: no memory; good until the sink returns */
            bool is_code;
        } map;
        struct {
            uint64_t device, inode, first, count;
        } pages;
        struct request_event request;
    };
};

struct perf_events;

/* Faults inside system calls are not told of: that needs a privilege. */
bool perf_events_user_only(const struct perf_events * events);

/* For the process `pid`, which has not called exec yet: from then on, with all threads and processes that it starts.
 * NULL with *error: the system refuses, which the message says how to change. The caller owns it, and uses it in one
 * thread at a time. */
struct perf_events * perf_events_open(pid_t pid, struct tat_error * error);

/* Waits until a good part of a buffer is full, or for so many milliseconds. */
void perf_events_wait(struct perf_events * events, int milliseconds);

/* Called with each event in the order of time. */
typedef void (*perf_sink)(const struct perf_event * event, void * user);

/* Adds an event of another source, to be passed on in its order. */
void perf_events_add(struct perf_events * events, const struct perf_event * event);

enum { PERF_SETTLE_NS = 1000000 }; /* an event is in its ring that long after its time at the latest */

/* Passes on what has come of before `until_ns`. What of that is still to come, from any source, will be out of order:
 * so let it be PERF_SETTLE_NS before the first source was read. 0, or -1: out of memory, and what did not fit counts as
 * lost. */
int perf_events_take(struct perf_events * events, uint64_t until_ns, perf_sink sink, void * user);

void perf_events_close(struct perf_events * events); /* NULL is allowed */

#endif
