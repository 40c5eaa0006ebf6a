/* SPDX-License-Identifier: MIT
 *
 * The tokens of a run side by side, in the order in which they were computed, whatever context they belong to: what a
 * picture has from left to right. Load and warm-up are not among them.
 */
#ifndef TAT_ANALYSIS_VIEW_TOKEN_AXIS_H
#define TAT_ANALYSIS_VIEW_TOKEN_AXIS_H

#include "analysis/analysis.h"

/* Tokens that were computed together: each is taken to have an equal part of what that touched. Usually they have one
 * evaluation; more if other backends took parts of the graph. */
struct token_step {
    uint32_t evaluation, end; /* the first, and behind the last; those in between that are of inference belong to it */
    uint32_t first, tokens;   /* on the axis */
};

struct token_axis {
    struct token_step * steps;
    uint32_t n_steps, n_tokens;
};

/* False: no memory. Free it in any case. */
bool token_axis_begin(struct token_axis * axis, const struct subject * subject);
void token_axis_free(struct token_axis * axis);

/* The step that computed a token, or the first behind it; n_steps: there is none. */
uint32_t token_axis_find(const struct token_axis * axis, uint64_t token);

/* The first evaluation of inference in [first, end), or `end`. */
static inline uint32_t next_inference(const struct subject * s, uint32_t first, uint32_t end) {
    while (first < end && !is_inference(s->evaluations[first].phase)) { first++; }
    return first;
}

#endif
