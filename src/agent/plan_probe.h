/* SPDX-License-Identifier: MIT
 *
 * What this ggml does with a graph's plan: where the plan holds the host's callback, and after which nodes the callback
 * is called. A graph of four nodes shows both before the host's first graph is recorded.
 */
#ifndef TAT_AGENT_PLAN_PROBE_H
#define TAT_AGENT_PLAN_PROBE_H

#include "agent/ggml_layout.h"

/* Computes a small graph on the calling thread alone, with plans and memory of its own. Returns NULL, or (a string
 * constant) why *plan could not be proven; then no plan of the host's may be touched. */
const char * plan_probe(const struct ggml_functions * ggml, const struct ggml_layout * layout,
                        struct ggml_plan_layout * plan);

#endif
