/* SPDX-License-Identifier: MIT
 *
 * Choices of experts counted by layer, all rows and all slots.
 */
#ifndef TAT_ANALYSIS_CHOICES_H
#define TAT_ANALYSIS_CHOICES_H

#include "analysis/routing.h"

/* A layer's choices. */
struct choices {
    uint64_t * all;     /* by expert; one allocation with the halves */
    uint64_t * half[2]; /* the same for each half of a span of tokens */
    uint64_t selections;
    uint64_t hash;      /* over the choices in their order: equal in runs that route all tokens alike */
    uint32_t n_experts; /* 0: nothing was chosen yet */
    uint16_t layer;
};

/* Begins zeroed. */
struct choice_table {
    struct choices * layer;
    uint64_t counters;
    uint32_t n_layers; /* as many as have chosen */
};

/* The place of an evaluation in the span of tokens whose halves are counted. */
struct choice_span {
    uint64_t first;       /* tokens before the evaluation's */
    uint64_t middle, end; /* tokens in the first half, and in both; 0: nobody asks for halves */
    uint32_t tokens;      /* the evaluation's */
};

void choice_table_free(struct choice_table * table);

/* Counts what the evaluation that `routing` read last chose. False: no memory. */
bool choice_table_add(struct choice_table * table, const struct routing * routing, struct choice_span span);

#endif
