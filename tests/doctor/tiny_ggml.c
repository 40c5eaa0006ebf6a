/* SPDX-License-Identifier: MIT
 *
 * A library with a ggml_graph_compute that it calls itself.
 */
int ggml_graph_compute(void * graph, void * plan);
int ggml_backend_graph_compute(void * graph);

__attribute__((noipa)) int ggml_graph_compute(void * graph, void * plan) {
    return graph == plan;
}

int ggml_backend_graph_compute(void * graph) {
    return ggml_graph_compute(graph, graph);
}
