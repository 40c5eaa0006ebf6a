/* SPDX-License-Identifier: MIT
 *
 * What comes out of a graph. llama.cpp names it; a graph without such a node is a piece of a ubatch that is computed in
 * several: by several backends, or node by node.
 */
#ifndef TAT_FORMAT_GRAPH_RESULT_H
#define TAT_FORMAT_GRAPH_RESULT_H

#include <string.h>

#include "tat/trace.h"

enum graph_result {
    RESULT_NONE,
    RESULT_LOGITS,
    RESULT_TEXT, /* embeddings of an encoder's rows, or of a text as a whole */
};

static inline bool graph_has_state(const struct tat_template * t, const struct tat_tensor * tensors) {
    uint32_t i = 0;
    while (i < t->n_leaves + t->n_nodes && tensors[t->entries[i].tensor].kind != TAT_TENSOR_STATE) { i++; }
    return i < t->n_leaves + t->n_nodes;
}

/* A decoder's graph that ends before its logits looks like an encoder's; but an encoder keeps no state. */
static inline enum graph_result graph_result_of(const struct tat_template * t, const struct tat_tensor * tensors) {
    const struct tat_entry * nodes = t->entries + t->n_leaves;
    if (t->n_nodes == 0) { return RESULT_NONE; }
    const char * last = nodes[t->n_nodes - 1].name;
    if (strncmp(last, "result_embd", strlen("result_embd")) == 0) { return RESULT_TEXT; }
    if (strcmp(last, "result_norm") == 0) { return graph_has_state(t, tensors) ? RESULT_NONE : RESULT_TEXT; }
    for (uint32_t i = t->n_nodes; i-- > 0;) {
        if (strncmp(nodes[i].name, "result_output", strlen("result_output")) == 0) { return RESULT_LOGITS; }
    }
    return RESULT_NONE;
}

#endif
