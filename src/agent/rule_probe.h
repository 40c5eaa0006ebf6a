/* SPDX-License-Identifier: MIT
 *
 * Which nodes this ggml calls back after: found out with a graph of a few numbers, before the host's first graph is
 * recorded, since what is captured there depends on it.
 */
#ifndef TAT_AGENT_RULE_PROBE_H
#define TAT_AGENT_RULE_PROBE_H

#include "agent/ggml_layout.h"

/* Computes a graph of its own, on the calling thread alone, in memory of its own. False: this ggml lacks a function for
 * it, or did what no known rule says; *rule is untouched then. */
bool rule_probe(const struct ggml_functions * ggml, const struct ggml_layout * layout, uint32_t * rule);

#endif
