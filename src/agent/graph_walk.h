/* SPDX-License-Identifier: MIT
 *
 * The one full walk over a new graph: what its nodes are, which values have to be read while it runs, and the TEMPLATE
 * block that says it all. With the registry's lock held.
 */
#ifndef TAT_AGENT_GRAPH_WALK_H
#define TAT_AGENT_GRAPH_WALK_H

#include "agent/graph_template.h"

/* Fills t->expected, captures and context. False: no memory; what was allocated is the caller's to free. */
bool graph_walk(const struct graph * graph, struct graph_template * t);

/* Writes the block and all that it names. False: no room, or no memory. Sets t->written. */
bool graph_walk_write(const struct graph * graph, struct graph_template * t);

#endif
