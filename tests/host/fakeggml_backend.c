/* SPDX-License-Identifier: MIT
 *
 * A file of its own, so that no compiler takes the call for one that stays inside.
 */
#include <stdlib.h>

#include "fakeggml.h"

/* As a scheduler does whose caller wants to see every node. */
static int compute_node_by_node(struct ggml_cgraph * graph, struct ggml_cplan * plan) {
    int status = GGML_STATUS_SUCCESS;
    for (int i = 0; i < graph->n_nodes && status == GGML_STATUS_SUCCESS; i++) {
        struct ggml_cgraph one = { .n_nodes = 1, .capacity = 1, .nodes = &graph->nodes[i] };
        status = ggml_graph_compute(&one, plan);
    }
    return status;
}

int ggml_backend_graph_compute(struct ggml_cgraph * graph, struct ggml_cplan * plan) {
    return getenv("FAKEGGML_SPLIT") ? compute_node_by_node(graph, plan) : ggml_graph_compute(graph, plan);
}
