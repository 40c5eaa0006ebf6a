/* SPDX-License-Identifier: MIT
 *
 * What the routers of a graph multiply with what, so that the next one's choice can be computed early. Beside
 * graph_uses, the only file of the manager that looks into ggml's structs.
 */
#ifndef TAT_MANAGE_EARLY_ROUTERS_H
#define TAT_MANAGE_EARLY_ROUTERS_H

#include "manage/early_score.h"
#include "manage/graph_uses.h"

/* A node's source. */
struct early_source {
    uint32_t node, src;
    bool is_known;
};

struct early_router {
    struct early_weights weights; /* in the model's mapping; no gate: they were not found */
    struct early_source input;    /* what the gate is multiplied with */
    struct early_source residual; /* the same before it was normalised, if it is still there when the router chooses */
};

/* Fills in one for each of the graph's routers. Knows only weights that `uses` has: graph_uses_hold then says whether
 * another graph has the same. */
void early_routers_find(const struct host * host, struct ggml_cgraph * graph, const struct graph_uses * uses,
                        struct early_router * routers);

/* The input by which the next router can be guessed, once this one has chosen, and whether it is the residual. NULL:
 * there is none, or it has more rows than one. */
const float * early_input(const struct host * host, struct ggml_cgraph * graph, const struct early_router * now,
                          const struct early_router * next, bool * is_residual);

#endif
