/* SPDX-License-Identifier: MIT
 *
 * ggml_graph_compute, called through the host's procedure linkage table and so found here first.
 */
#include "agent/hook.h"

#include "agent/agent.h"
#include "agent/evaluation.h"

int ggml_graph_compute(struct ggml_cgraph * graph, struct ggml_cplan * plan) {
    enum { STATUS_FAILED = -1 };
    struct host * host = host_of(__builtin_return_address(0));
    if (!host) { return STATUS_FAILED; } /* no ggml behind the call: whoever made it could not have been linked */
    struct evaluation * evaluation = agent_records(host) ? evaluation_begin(host, graph, plan) : NULL;
    const int           status     = host->ggml.graph_compute(graph, plan);
    if (evaluation) { evaluation_end(evaluation, plan, status); }
    return status;
}
