/* SPDX-License-Identifier: MIT
 *
 * A ring that the kernel fills with what some events tell on one processor. One thread uses a ring at a time.
 */
#ifndef TAT_IO_PERF_RING_H
#define TAT_IO_PERF_RING_H

#include <linux/perf_event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { PERF_RING_EVENTS = 3, PERF_RECORD_BYTES = 1 << 16 };

struct perf_ring {
    struct perf_event_mmap_page * page; /* NULL: there is no such processor */
    size_t bytes;                       /* of the mapping */
    int fd[PERF_RING_EVENTS];           /* the first one's file has the ring; -1: none */
    uint64_t id[PERF_RING_EVENTS];
};

struct perf_ring_place {
    pid_t pid; /* -1: all */
    int processor;
    size_t pages_most, pages_least; /* powers of two */
};

/* What stands behind each record but samples, which have the same fields in front (perf_event_open(2)). */
struct perf_trailer {
    uint32_t pid, tid;
    uint64_t ns, id;
};

void perf_ring_clear(struct perf_ring * ring); /* nothing is open */

/* Opens so many events on a cleared ring. False with errno. A processor that is not there is no failure: its ring stays
 * empty. Close it in any case. */
bool perf_ring_open(struct perf_ring * ring, const struct perf_event_attr attributes[], int count,
                    const struct perf_ring_place * place);
void perf_ring_close(struct perf_ring * ring);

/* Which of its events, or -1. */
int perf_ring_which(const struct perf_ring * ring, uint64_t id);

typedef void (*perf_record_sink)(const struct perf_ring * ring, const struct perf_event_header * record, void * user);

/* Takes out what is there. `record` is room for one, which the sink may not keep. */
void perf_ring_read(const struct perf_ring * ring, uint8_t record[static PERF_RECORD_BYTES], perf_record_sink sink,
                    void * user);

#endif
