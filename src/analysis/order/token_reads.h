/* SPDX-License-Identifier: MIT
 *
 * What each generated token read, token by token: compared with the one before, predicted, reordered.
 */
#ifndef TAT_ANALYSIS_ORDER_TOKEN_READS_H
#define TAT_ANALYSIS_ORDER_TOKEN_READS_H

#include "analysis/order/predict.h"
#include "analysis/order/reorder.h"
#include "analysis/order/same.h"

struct token_reads {
    const struct subject * subject;
    uint16_t get_rows; /* number of the operation */
    struct order_slices slices;
    struct sequence now;
    uint32_t current;      /* the evaluation that `now` belongs to, or UINT32_MAX */
    const uint32_t * hint; /* slices of the evaluation before it, since the same ones come again */
    uint32_t n_hints;
    struct stream * streams;
    uint32_t * stream_of; /* by evaluation */
    uint32_t n_streams;
    uint64_t generated;       /* evaluations; complete ones */
    uint64_t before_current;  /* those before the current one */
    uint32_t counted;         /* evaluations in before_current */
    uint64_t words, left_out; /* kept in all streams; evaluations that are too long */
    uint64_t aborted;         /* evaluations */
    struct comparison comparison;
    struct prediction prediction;
    struct reorder reorder;
    bool failed;
};

/* All that the evaluation read was recorded, and by records that fit what ran. */
static inline bool reads_are_whole(const struct tat_evaluation * e) {
    return !(e->flags & (TAT_EVALUATION_UNMATCHED | TAT_EVALUATION_OUTSIDE | TAT_EVALUATION_ABORTED));
}

/* False: no memory. Call token_reads_free in either case. */
bool token_reads_begin(struct token_reads * t, const struct subject * subject);
void token_reads_free(struct token_reads * t);

void token_reads_open(struct token_reads * t, uint32_t evaluation); /* ends the evaluation before */
void token_reads_end(struct token_reads * t);

/* A read of a weight in a file, up to `end`, in an evaluation that was begun. */
static inline void token_reads_add(struct token_reads * t, const struct tat_access * a, uint64_t end) {
    if (t->current == UINT32_MAX) { return; }
    const bool rows = a->op == t->get_rows;
    const uint32_t hint = t->now.n_slices < t->n_hints ? t->hint[t->now.n_slices] : NO_ORDER_SLICE;
    const struct order_slice slice = { .offset = rows ? 0 : a->offset,
                                       .bytes = rows ? 0 : a->bytes,
                                       .tensor = a->tensor,
                                       .expert = a->expert,
                                       .rows = rows };
    const bool known = hint != NO_ORDER_SLICE && slice_is(&t->slices.at[hint], &slice);
    sequence_add(&t->now, a->tensor, place_of(a->node, a->operand), known ? hint : slice_number(&t->slices, &slice));
    if (t->reorder.wanted) { reorder_add(&t->reorder, a, end); }
}

/* Once, at the end. */
void token_reads_tell(struct token_reads * t, struct result * r);

#endif
