/* SPDX-License-Identifier: MIT
 *
 * What the rows of a ubatch are: a prompt, generated tokens, drafts. It follows from what its graph shows and from what
 * its context computed before (doc/format.md, "Order, tokens, phases").
 */
#ifndef TAT_FORMAT_PHASES_H
#define TAT_FORMAT_PHASES_H

#include "tat/trace.h"

/* How far a context has come. */
struct progress {
    uint32_t evaluation;       /* the ubatch before */
    uint32_t tokens;           /* tokens so far */
    uint32_t rows, outputs;    /* of the ubatch before */
    uint32_t calls;            /* calls of llama_decode and the like when it began */
    int64_t first, next;       /* its first position, and the one after its last; -1: unknown */
    int64_t lowest;            /* the lowest position that a generated token can have; -1: unknown */
    int64_t resume;            /* the position after the last generated token; -1: none */
    int64_t run_first;         /* the run of generated tokens, one by one, right before: its first position, */
    uint64_t run_ids;          /* its ids, as rows_hash has them, */
    uint32_t run_rows;         /* and its length */
    uint8_t phase;             /* of the ubatch before; TAT_PHASE_COUNT: there was none */
    bool run_has_ids, several; /* its ids were recorded; the context has several sequences */
};
#define PROGRESS_NONE                                                                                                  \
    ((struct progress){ .phase = TAT_PHASE_COUNT, .first = -1, .next = -1, .lowest = -1, .resume = -1 })

enum {
    PHASE_ROWS = 1 << 20, /* the most rows whose positions are looked at */
    PHASE_DRAFT = 65,     /* the longest draft, and the token before it */
    PHASE_MASK = 1 << 12, /* the most values of a mask that is looked at */
};

/* Gives the evaluation its phase and token number. `pieces`: the progress of graphs without a result, which takes the
 * place of their context's, because that context is often not known. `calls`: how many CALL_BEGIN events came before
 * it. `memory` has room for its rows, PHASE_ROWS at most, and for PHASE_MASK more values. */
void phase_set(const struct tat_trace * trace, struct tat_evaluation * e, uint32_t number, struct progress * p,
               struct progress * pieces, uint32_t calls, int64_t * memory);

#endif
