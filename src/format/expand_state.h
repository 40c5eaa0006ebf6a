/* SPDX-License-Identifier: MIT
 *
 * What it takes to make access records from a plan and an evaluation: its times, its captured ids, the records of the
 * operands that vary, and room for records on their way to whoever wants them.
 */
#ifndef TAT_FORMAT_EXPAND_STATE_H
#define TAT_FORMAT_EXPAND_STATE_H

#include "format/bodies.h"
#include "format/plan.h"

enum {
    BATCH = 1024,  /* records; 64 KiB, which stay in the second-level cache */
    ROWS_KEPT = 4, /* for K and V of the cache, the tokens, the rows with an output */
};

struct ids {
    size_t first, count; /* in struct expansion's values */
};

/* What ids of rows amount to, kept for operands of other layers with the same shape and ids. */
struct rows_kept {
    bool known;
    uint32_t capture;
    uint64_t ne[4], nb[4], ids_ne[4], row_bytes; /* what they follow from */
    struct piece * pieces;
    size_t n, capacity, unique; /* pieces, room for them, different rows */
    uint64_t first;             /* offset of the first row */
};

struct expansion {
    struct tat_trace * trace;
    struct bodies bodies;
    struct body_bytes body; /* of the evaluation at hand */
    tat_access_sink sink;
    void * user;
    bool stopped;

    struct tat_access * batch; /* BATCH */
    size_t n_batch;

    uint64_t * start_ns; /* by callback; one more for the end */
    uint64_t * wait_ns;  /* by callback: at the barrier after its node */
    size_t times_capacity, waits_capacity;

    int64_t * values; /* of all id captures of the evaluation */
    size_t values_capacity;
    struct ids * ids; /* by capture */
    uint32_t ids_capacity;
    uint64_t * offsets; /* of rows */
    size_t offsets_capacity;
    struct piece * pieces;            /* PIECES_MAX */
    struct rows_kept kept[ROWS_KEPT]; /* by capture */
};

/* False: no memory. Below, also for any other reason, which expansion_fail knows. End the expansion in either case. */
bool expansion_begin(struct expansion * x, const struct tat_trace * trace, tat_access_sink sink, void * user);
void expansion_end(struct expansion * x);

/* Reports why one of these failed. Returns -1. */
int expansion_fail(struct expansion * x, struct tat_error * error);

/* Turns to an evaluation: the calls that follow are about that one. */
bool expansion_at(struct expansion * x, uint32_t evaluation);

/* Passes the sink what is in the batch. */
void expansion_flush(struct expansion * x);

/* Adds a copy of a record. */
static inline struct tat_access * expansion_next(struct expansion * x, const struct tat_access * like) {
    if (x->n_batch == BATCH) { expansion_flush(x); }
    struct tat_access * a = &x->batch[x->n_batch++];
    *a = *like;
    return a;
}

/* Sets when each callback's node began, which is when the callback before it came. Returns how many callbacks have
 * times. start_ns is NULL if memory ran out. */
uint32_t expansion_times(struct expansion * x, uint32_t evaluation);

/* A callback's node's time, as in a record. */
static inline uint32_t duration_of(const uint64_t * start_ns, uint32_t callback) {
    const uint64_t duration = start_ns[callback + 1] - start_ns[callback];
    return duration > UINT32_MAX ? UINT32_MAX : (uint32_t) duration;
}

/* Sets how long thread 0 waited after each callback's node. Call expansion_times first. Returns how many callbacks have
 * a wait; wait_ns is NULL if memory ran out. */
uint32_t expansion_waits(struct expansion * x, uint32_t evaluation);

/* Reads the ids of rows and experts. For an evaluation without captures all counts are 0. */
bool expansion_ids(struct expansion * x, uint32_t evaluation);

/* Makes the records of one varying operand, with everything else as in `like`. */
bool expansion_varying(struct expansion * x, const struct tat_template * t, const struct vary * v,
                       const struct tat_access * like);

/* Records of a plan that are wanted, as ranges; the records of an operand that varies are wanted together. */
struct pick {
    struct picked {
        uint32_t first, end;
    } * ranges; /* sorted */
    uint32_t count;
    bool varies; /* operands that vary are among them */
};

/* Adds the records of an evaluation to the batch; those that are not picked are not made. `pick`: NULL for all. */
bool expansion_put(struct expansion * x, uint32_t evaluation, const struct plan * plan, const struct pick * pick);

/* An evaluation whose records are not known: it is unclear which node a time belongs to, or nobody asked for it. */
static inline bool evaluation_is_bare(const struct tat_evaluation * e) {
    return e->flags & (TAT_EVALUATION_UNMATCHED | TAT_EVALUATION_OUTSIDE);
}

/* How many records belong to callbacks that came, in an evaluation that ended early. */
uint32_t plan_records_before(const struct plan * plan, uint32_t n_times);

/* Makes `array`, the address of a pointer, hold `wanted` elements of `size` bytes. False: no memory. */
bool expansion_reserve(void * array, size_t * capacity, size_t wanted, size_t size);

#endif
