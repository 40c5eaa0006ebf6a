/* SPDX-License-Identifier: MIT
 *
 * Choices of experts counted by layer, all rows and all slots.
 */
#ifndef TAT_ANALYSIS_CHOICES_H
#define TAT_ANALYSIS_CHOICES_H

#include "analysis/routing.h"

/* A layer's choices, in two parts that the caller tells apart: the halves of a run. */
struct choices {
    uint64_t * half[2]; /* by expert; one allocation */
    uint64_t selections;
    uint32_t n_experts; /* 0: nothing was chosen yet */
    uint16_t layer;
};

/* Begins zeroed. */
struct choice_table {
    struct choices * layer;
    uint64_t counters;
    uint32_t n_layers; /* as many as have chosen */
};

void choice_table_free(struct choice_table * table);

/* Counts what the evaluation that `routing` read last chose. False: no memory. */
bool choice_table_add(struct choice_table * table, const struct routing * routing, int half);

#endif
