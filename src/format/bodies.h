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
    uint64_t work; /* records, values of ids, rows that they name */
};

/* One evaluation's, until the next one's is read. */
struct body_bytes {
    struct tat_in stamps, captures, waits;
};

void bodies_begin(struct bodies * b, const struct tat_trace * trace);
void bodies_end(struct bodies * b);

/* The same for callers that come back for one evaluation after the other: the trace keeps what was read ahead, for one
 * of them at a time. Any thread. */
void bodies_borrow(struct bodies * b, const struct tat_trace * trace);
void bodies_give_back(struct bodies * b);

/* False: they could not be read. */
bool bodies_read(struct bodies * b, uint32_t evaluation, struct body_bytes * bytes);

/* Counts work that is about to be done. False: it is more than any trace of that size gives reason for. */
static inline bool bodies_may_work(struct bodies * b, uint64_t work) {
    b->work = b->work + work < work ? UINT64_MAX : b->work + work;
    return b->work <= WORK_LEAST + (uint64_t) WORK_A_BYTE * b->trace->size;
}

/* Says why one of these, or an allocation, failed. Returns -1. */
int bodies_fail(struct bodies * b, struct tat_error * error);

#endif
