/* SPDX-License-Identifier: MIT
 *
 * What the layout of a graph is made of, for its own files.
 */
#ifndef TAT_ANALYSIS_VIEW_GRAPH_PARTS_H
#define TAT_ANALYSIS_VIEW_GRAPH_PARTS_H

#include "analysis/view/graph_layout.h"

enum graph_category graph_category_of(const struct tat_entry * e);

/* Sets the positions of a group's nodes, from (0, 0) on, and the group's size. `edges` are those among its nodes,
 * sorted by `to`; from is before to. False: no memory. */
bool graph_ranks_place(struct graph_node * nodes, uint32_t first, uint32_t count, const struct graph_edge * edges,
                       uint32_t n_edges, struct graph_group * group);

#endif
