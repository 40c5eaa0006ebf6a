/* SPDX-License-Identifier: MIT
 *
 * The join of a trace with its I/O events, for the section that tells of it and for tat_storage_join.
 */
#ifndef TAT_ANALYSIS_STORAGE_STORAGE_H
#define TAT_ANALYSIS_STORAGE_STORAGE_H

#include "analysis/analysis.h"
#include "analysis/storage/model_bytes.h"
#include "tat/storage.h"

struct joined {
    const struct subject * subject;
    const struct tat_io * io;
    struct model_bytes bytes;
    uint64_t start_ns;          /* of the trace: CLOCK_MONOTONIC */
    struct tat_placed * faults; /* as in struct tat_storage */
    struct tat_placed * requests;
    size_t n_requests;
    uint64_t * read_of;    /* by place in io->files: bytes of it that requests read */
    int64_t until_ns;      /* so long was I/O recorded, since the trace began; INT64_MAX: to the end */
    const char * no_waits; /* why nothing tells whether threads waited; NULL: page faults do */
    bool cut;
};

/* An event of no place yet that ended then, in CLOCK_MONOTONIC. */
struct tat_placed placed_at(const struct joined * j, uint64_t end_ns, uint64_t duration_ns);

/* Sets file's place, tensor, expert and layer from what stands there. */
void placed_in(const struct joined * j, struct tat_placed * p, const struct stretch * stretch);

/* Places all faults. 0, or -1 with *error. */
int place_faults(struct joined * j, struct tat_error * error);

/* Makes the parts of all requests; what was read of a weight is TAT_PLACE_UNKNOWN, as what it was for shows later.
 * False: no memory. */
bool place_requests(struct joined * j);

/* The I/O events beside the trace. 1: none were recorded; 0, and tat_io_free frees them; or -1 with *error. */
int io_events_read(struct tat_io * io, const struct tat_trace * trace, struct tat_error * error);

/* The file that they are in, for the caller to free. NULL: there is none, or no memory. */
char * io_events_path(const struct tat_trace * trace);

/* 0, or -1 with *error. Free it in any case. */
int join_faults(struct joined * j, const struct subject * subject, const struct tat_io * io,
                struct tat_error * error); /* faults alone */
int join_begin(struct joined * j, const struct subject * subject, const struct tat_io * io, struct tat_error * error);
void join_free(struct joined * j);

/* Of a generated token, the mean: its time, that in which a thread was in a page fault, and that of computing. All 0:
 * no fault was recorded, or there is no such token. */
struct storage_pace {
    double token_ns, blocked_ns, compute_ns;
};
struct storage_pace storage_pace_of(const struct subject * subject);

static inline const struct tat_io_fault * fault_of(const struct joined * j, const struct tat_placed * p) {
    return &j->io->faults[p->event];
}

/* Thread time, without what others ran in its place. */
static inline uint64_t fault_stall(const struct tat_io_fault * f) {
    return f->duration_ns - f->preempted_ns;
}

/* Whether I/O was recorded until the graph's end. */
static inline bool is_recorded(const struct joined * j, const struct tat_evaluation * v) {
    return (int64_t) v->end_ns <= j->until_ns;
}

uint64_t last_io_event(const struct tat_io * io); /* CLOCK_MONOTONIC */
int64_t recorded_until(const struct subject * s, const struct tat_io * io, uint64_t start_ns);

static inline bool is_major(const struct tat_io_fault * f) {
    return f->flags & TAT_IO_MAJOR;
}

#endif
