/* SPDX-License-Identifier: MIT
 *
 * A file of its own, so that no compiler takes the call for one that stays inside.
 */
#include <stdlib.h>

#include "fakeggml.h"

static int compute(struct ggml_cgraph * graph, struct ggml_cplan * plan) {
    fakeggml_hosts_graph = graph;
    const int status = ggml_graph_compute(graph, plan);
    fakeggml_hosts_graph = NULL;
    return status;
}

/* Computes like a scheduler whose caller wants to see every node. */
static int compute_node_by_node(struct ggml_cgraph * graph, struct ggml_cplan * plan) {
    int status = GGML_STATUS_SUCCESS;
    for (int i = 0; i < graph->n_nodes && status == GGML_STATUS_SUCCESS; i++) {
        struct ggml_cgraph one = { .n_nodes = 1, .capacity = 1, .nodes = &graph->nodes[i] };
        status = compute(&one, plan);
    }
    return status;
}

int ggml_backend_graph_compute(struct ggml_cgraph * graph, struct ggml_cplan * plan) {
    return getenv("FAKEGGML_SPLIT") ? compute_node_by_node(graph, plan) : compute(graph, plan);
}

struct ggml_backend {
    bool (*callback)(void * data);
    void * data;
};

struct ggml_backend * ggml_backend_cpu_init(void) {
    return calloc(1, sizeof(struct ggml_backend));
}

void ggml_backend_cpu_set_abort_callback(struct ggml_backend * backend, bool (*callback)(void *), void * data) {
    *backend = (struct ggml_backend){ callback, data };
}

/* Like ggml's: what is returned begins with the plan, and the graph follows it. */
struct ggml_cplan * ggml_backend_graph_plan_create(struct ggml_backend * backend, struct ggml_cgraph * graph) {
    struct {
        struct ggml_cplan plan;
        struct ggml_cgraph graph;
    } * made = malloc(sizeof *made);
    if (!made) { abort(); }
    made->plan = ggml_graph_plan(graph, 4, NULL);
    made->plan.abort_callback = backend->callback;
    made->plan.abort_callback_data = backend->data;
    made->graph = *graph;
    return &made->plan;
}

void ggml_backend_graph_plan_free(struct ggml_backend * backend, struct ggml_cplan * plan) {
    (void) backend;
    free(plan);
}

void ggml_backend_free(struct ggml_backend * backend) {
    free(backend);
}
