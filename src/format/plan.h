/* SPDX-License-Identifier: MIT
 *
 * All access records of a graph, made once for its template and the rule its evaluations obeyed; an evaluation then
 * only fills in times and what its captures say.
 */
#ifndef TAT_FORMAT_PLAN_H
#define TAT_FORMAT_PLAN_H

#include "format/extent.h"
#include "format/node_rules.h"
#include "format/trace.h"

enum {
    PIECES_MAX = 4096,      /* records per operand; beyond that, one record that bounds them */
    PIECES_TOTAL = 1 << 22, /* of all operands without the first of each; a small file may ask for any number */
};

/* An operand whose records differ from one evaluation to the next. */
struct vary {
    uint32_t record;    /* its first record in plan.records */
    uint32_t n_records; /* 1, which bounds what ids can name; for USE_OFFSET all, where they were at first */
    uint32_t capture;
    enum operand_use use;
    uint32_t entry;    /* whose bytes are touched */
    uint32_t ids;      /* entry of the ids */
    struct extent one; /* the row, slice or state that an id names; unused for USE_OFFSET */
};

/* A row, slice or state of an operand. */
struct extent selection_extent(const struct tat_entry * e, enum operand_use use);

/* The records that carry a callback's time, or NO_RECORD. `first` has the operation and the layer (of two fused nodes,
 * the first's). `owner` is the first weight, else the first part of a state, else the result. */
struct timed {
    uint32_t first, owner;
};
#define NO_RECORD UINT32_MAX

struct plan {
    struct tat_access * records; /* start_ns is the number of the callback, duration_ns a mask: all bits, or none where
                                  * the callback's time is told of another node */
    struct vary * varies;        /* in the order of records */
    struct timed * timed;        /* by callback */
    uint32_t n_records, n_varies, n_callbacks;
};

/* Made when first asked for. NULL: no memory. The trace's lock guards it. */
const struct plan * plan_of(struct tat_trace * trace, uint32_t template_id, uint32_t rule);

/* The number of a piece's layout, for a record; sets rows, layout and the strided flag. */
void plan_set_piece(struct tat_trace * trace, struct tat_access * a, uint64_t base, uint64_t offset, uint64_t run_bytes,
                    uint64_t stride, uint64_t count);

#endif
