/* SPDX-License-Identifier: MIT
 *
 * What this ggml does with the plan of a graph: where the plan holds the host's callback, and after which nodes the
 * callback is called. A graph of a few numbers shows both before the host's first graph is recorded.
 */
#ifndef TAT_AGENT_PLAN_PROBE_H
#define TAT_AGENT_PLAN_PROBE_H

#include "agent/ggml_layout.h"

/* Computes a graph of its own, on the calling thread alone, with plans and memory of its own. Returns NULL, or why the
 * plan could not be proven to be what *plan would say (a string constant): then no plan of the host's may be touched.
 */
const char * plan_probe(const struct ggml_functions * ggml, const struct ggml_layout * layout,
                        struct ggml_plan_layout * plan);

#endif
