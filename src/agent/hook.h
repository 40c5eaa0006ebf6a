/* SPDX-License-Identifier: MIT
 *
 * What the agent exports in place of the host's functions.
 */
#ifndef TAT_AGENT_HOOK_H
#define TAT_AGENT_HOOK_H

#define TAT_EXPORT __attribute__((visibility("default")))

struct ggml_cgraph;
struct ggml_cplan;

TAT_EXPORT int ggml_graph_compute(struct ggml_cgraph * graph, struct ggml_cplan * plan);

#endif
