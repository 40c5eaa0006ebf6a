/* SPDX-License-Identifier: MIT
 *
 * The one full walk over a new graph: what its nodes are, which values must be read while it runs, and the TEMPLATE
 * block that records it. The registry's lock must be held.
 */
#ifndef TAT_AGENT_GRAPH_WALK_H
#define TAT_AGENT_GRAPH_WALK_H

#include "agent/graph_template.h"

/* Fills in the nodes, captures, tokens, lives and context of t. False: no memory; the caller frees what was
 * allocated. */
bool graph_walk(const struct graph * graph, struct graph_template * t);

/* Fills in each node's enum tat_node_fact. Needs no lock. False: no memory. */
bool graph_facts(const struct graph * graph, uint32_t * facts);

/* Writes the block and the strings and tensors that it names. Sets t->written. False: no room, or no memory. */
bool graph_walk_write(const struct graph * graph, struct graph_template * t);

#endif
