/* SPDX-License-Identifier: MIT
 *
 * What row ids pick from: of the token embedding they are token ids; of a result, the rows whose output is asked for.
 */
#ifndef TAT_FORMAT_ROWS_FROM_H
#define TAT_FORMAT_ROWS_FROM_H

#include <string.h>

#include "tat/trace.h"

/* The tensor whose rows a node picks. NULL: it picks none. */
static inline const struct tat_tensor * rows_from(const struct tat_template * t, const struct tat_tensor * tensors,
                                                  const struct tat_entry * node) {
    const bool picks = strcmp(node->op, "GET_ROWS") == 0 && node->src[0] != TAT_NO_ENTRY;
    return picks ? &tensors[t->entries[node->src[0]].tensor] : NULL;
}

static inline bool picks_tokens(const struct tat_template * t, const struct tat_tensor * tensors,
                                const struct tat_entry * node) {
    const struct tat_tensor * from = rows_from(t, tensors, node);
    return from && from->component == TAT_COMPONENT_TOKEN_EMBD;
}

/* True if an input of the graph picks rows of a result. Only one does: it picks the rows with which the last layer
 * continues. */
static inline bool picks_output_rows(const struct tat_template * t, const struct tat_tensor * tensors,
                                     const struct tat_capture * c) {
    if (c->kind != TAT_CAPTURE_ROWS || c->entry >= t->n_leaves) { return false; }
    const struct tat_tensor * from = rows_from(t, tensors, &t->entries[t->n_leaves + c->node]);
    return from && from->kind == TAT_TENSOR_ACTIVATION;
}

#endif
