/* SPDX-License-Identifier: MIT
 *
 * Which of a graph's row ids are those of the rows whose output is asked for: what the last layer goes on with.
 */
#ifndef TAT_FORMAT_OUTPUT_ROWS_H
#define TAT_FORMAT_OUTPUT_ROWS_H

#include <string.h>

#include "tat/trace.h"

/* They are an input of the graph, and the only one that picks rows of a result. */
static inline bool picks_output_rows(const struct tat_template * t, const struct tat_tensor * tensors,
                                     const struct tat_capture * c) {
    const struct tat_entry * node = &t->entries[t->n_leaves + c->node];
    return c->kind == TAT_CAPTURE_ROWS && c->entry < t->n_leaves && strcmp(node->op, "GET_ROWS") == 0 &&
           node->src[0] != TAT_NO_ENTRY && tensors[t->entries[node->src[0]].tensor].kind == TAT_TENSOR_ACTIVATION;
}

#endif
