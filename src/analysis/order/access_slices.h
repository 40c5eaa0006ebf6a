/* SPDX-License-Identifier: MIT
 *
 * Weight slices by number, and the sequence of them that one evaluation read.
 *
 * A slice is what one access reads: a tensor, an expert's part of it. Which rows of an embedding are read is the
 * token's affair and no matter of order, so all of one tensor are one slice. These are numbered as they are met: a view
 * of a weight may begin and end anywhere, and is another place of the file. The slices of analysis/slices.h, which
 * counters and caches go by, are known beforehand and cover a weight without overlapping.
 */
#ifndef TAT_ANALYSIS_ORDER_ACCESS_SLICES_H
#define TAT_ANALYSIS_ORDER_ACCESS_SLICES_H

#include "analysis/analysis.h"

#define NO_ORDER_SLICE UINT32_MAX

enum {
    SLICES_MAX = 1 << 20,   /* far more than any model has; the rest count as one slice, and that is said */
    SEQUENCE_MAX = 1 << 20, /* accesses of one evaluation */
};

struct order_slice {
    uint64_t offset, bytes; /* in the file */
    uint32_t tensor;
    uint16_t expert; /* or TAT_NO_EXPERT */
    bool rows;       /* stands for any rows: offset and bytes are 0 */
};

static inline bool slice_is(const struct order_slice * x, const struct order_slice * y) {
    return x->offset == y->offset && x->tensor == y->tensor && x->bytes == y->bytes && x->rows == y->rows;
}

struct order_slices {
    struct order_slice * at;
    uint64_t * bytes; /* the bytes of each again, in the form that scoring goes through */
    uint32_t count, capacity;
    uint32_t * index; /* a hash table of 1 + number */
    uint32_t mask;
    bool full, failed;
};

/* The slice's number, a new one if it is new. NO_ORDER_SLICE: no memory. */
uint32_t slice_number(struct order_slices * s, const struct order_slice * slice);
void order_slices_free(struct order_slices * s);

/* "blk.0.ffn_up_exps.weight, expert 3"; "nothing" for NO_ORDER_SLICE. Returns `text`. */
enum { SLICE_TEXT = 256 };
const char * slice_text(char text[static SLICE_TEXT], const struct subject * subject, const struct order_slices * s,
                        uint32_t slice);

/* What one evaluation read, in order. A step is one operand of one node. Several slices of a stack of experts are one
 * step, and so are the rows of an embedding. */
struct sequence {
    uint32_t evaluation;
    uint32_t n_steps, n_slices;
    uint32_t steps_capacity, slices_capacity;
    uint32_t * tensor; /* by step */
    uint32_t * place;  /* by step: node and operand, see place_of */
    uint32_t * first;  /* by step: its first slice; one more for the end */
    uint32_t * slice;
    bool cut, failed; /* too long; no memory */
};

static inline uint32_t place_of(uint32_t node, uint8_t operand) {
    return node << 5 | operand;
}

void sequence_begin(struct sequence * q, uint32_t evaluation); /* empties it */
void sequence_add(struct sequence * q, uint32_t tensor, uint32_t place, uint32_t slice);
void sequence_free(struct sequence * q);

static inline uint64_t sequence_words(const struct sequence * q) {
    return 3 * (uint64_t) q->n_steps + 1 + q->n_slices;
}

#endif
