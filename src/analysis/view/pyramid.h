/* SPDX-License-Identifier: MIT
 *
 * Sums of a long trace by blocks of tokens, so that a picture of any part of it does not cost a walk over all of it.
 * Each block of `block` tokens has the sums of everything that pictures have rows for. They are made from the tally, so
 * one walk makes all of them; what is narrower than a block is made anew from the trace.
 */
#ifndef TAT_ANALYSIS_VIEW_PYRAMID_H
#define TAT_ANALYSIS_VIEW_PYRAMID_H

#include "analysis/slices.h"
#include "analysis/view/token_axis.h"

/* What a block has sums by; columns of the first four are numbered as tat_matrix numbers its. */
enum pyramid_key {
    PYRAMID_BY_LAYER,
    PYRAMID_BY_TENSOR,
    PYRAMID_BY_COMPONENT,
    PYRAMID_BY_EXPERT,
    PYRAMID_BY_LAYER_EXPERT, /* layer * experts + expert */
    PYRAMID_KEYS
};

/* That of tat_matrix; not for PYRAMID_BY_LAYER_EXPERT. */
static inline enum tat_key pyramid_matrix_key(enum pyramid_key key) {
    static const enum tat_key keys[] = { [PYRAMID_BY_LAYER] = TAT_BY_LAYER,
                                         [PYRAMID_BY_TENSOR] = TAT_BY_TENSOR,
                                         [PYRAMID_BY_COMPONENT] = TAT_BY_COMPONENT,
                                         [PYRAMID_BY_EXPERT] = TAT_BY_EXPERT };
    return keys[key];
}

struct pyramid {
    uint32_t block; /* tokens */
    uint32_t n_blocks, n_tokens;
    uint32_t n_evaluations;       /* of the trace when the sums were made */
    uint32_t last_step;           /* the evaluation with which the last tokens began */
    uint32_t width[PYRAMID_KEYS]; /* columns of each key; 0: it has none, or too many to keep */
    size_t at[PYRAMID_KEYS][TAT_MEASURE_COUNT];
    size_t row; /* sums of one block */
    /* What was read of each slice by all evaluations before `before`, those of tokens before `token`: accesses, bytes.
     * There is one wherever steps pass a multiple of `mark_tokens`. */
    struct pyramid_mark {
        uint32_t before, token;
        uint64_t * reads; /* [slice][2] */
    } * marks;            /* sorted */
    uint32_t n_marks, mark_tokens;
    struct slices slices;
    double * sums; /* [block][row]; time is thread 0's from callback to callback, in nanoseconds */
};

/* Told while it is made, by the thread that makes it: `done` of `all` tokens. Returning false ends it. */
typedef bool (*pyramid_progress)(uint32_t done, uint32_t all, void * user);

/* The caller owns the pyramid. It does not change, so that any number of threads may read it, and does not point into
 * the trace. `progress` may be NULL. NULL with *error: no memory, a trace that cannot be read, or ended by `progress`
 * (TAT_ERROR_NO). Thread-safe. */
struct pyramid * pyramid_make(const struct subject * subject, const struct token_axis * axis, pyramid_progress progress,
                              void * user, struct tat_error * error);
void pyramid_free(struct pyramid * pyramid); /* NULL is allowed */

/* The same pyramid as pyramid_make makes, from one that was made when the trace had fewer evaluations, whose phases did
 * not change since. What comes before the last mark is copied, where the trace has not outgrown the blocks. `old` stays
 * the caller's. */
struct pyramid * pyramid_extend(const struct pyramid * old, const struct subject * subject,
                                const struct token_axis * axis, struct tat_error * error);

/* The sums of one block by a key. Not for time by experts, which have none. */
static inline const double * pyramid_sums(const struct pyramid * p, uint32_t block, enum pyramid_key key,
                                          enum tat_measure measure) {
    return p->sums + (size_t) block * p->row + p->at[key][measure];
}

#endif
