/* SPDX-License-Identifier: MIT
 *
 * What evaluations hold in the file: stamps, captures, waits. A trace keeps where they are; they are read where they
 * are needed, by a reader of their own for each walk over evaluations. It also counts the work that a few bytes can ask
 * for, against the size of the file.
 */
#ifndef TAT_FORMAT_BODIES_H
#define TAT_FORMAT_BODIES_H

#include "format/trace.h"

struct bodies {
    const struct tat_trace * trace;
    struct window window;
    uint64_t work; /* sum of records, values of ids, and rows that these name */
};

/* Reads one evaluation's bytes, valid until the next evaluation's are read. */
struct body_bytes {
    struct tat_in stamps, captures, waits;
};

void bodies_begin(struct bodies * b, const struct tat_trace * trace);
void bodies_end(struct bodies * b);

/* The same for callers that come back for one evaluation after the other. The trace keeps what was read ahead, for one
 * caller at a time. Any thread. */
void bodies_borrow(struct bodies * b, const struct tat_trace * trace);
void bodies_give_back(struct bodies * b);

/* False: the bytes could not be read. */
bool bodies_read(struct bodies * b, uint32_t evaluation, struct body_bytes * bytes);

/* Counts work before it is done. False: it is more than a trace of that size can justify. */
static inline bool bodies_may_work(struct bodies * b, uint64_t work) {
    b->work = b->work + work < work ? UINT64_MAX : b->work + work;
    return b->work <= WORK_LEAST + (uint64_t) WORK_A_BYTE * b->trace->size;
}

/* Reports why one of these calls, or an allocation, failed. Returns -1. */
int bodies_fail(struct bodies * b, struct tat_error * error);

#endif
