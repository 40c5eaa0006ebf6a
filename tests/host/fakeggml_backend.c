/* SPDX-License-Identifier: MIT
 *
 * A file of its own, so that no compiler takes the call for one that stays inside.
 */
#include "fakeggml.h"

int ggml_backend_graph_compute(struct ggml_cgraph * graph, struct ggml_cplan * plan) {
    return ggml_graph_compute(graph, plan);
}
