/* SPDX-License-Identifier: MIT
 *
 * A kind of graph that was seen before: what it needs, what is to be done for it when, and room for what its routers
 * choose.
 */
#ifndef TAT_MANAGE_KNOWN_GRAPH_H
#define TAT_MANAGE_KNOWN_GRAPH_H

#include "manage/foresight.h"
#include "manage/graph_uses.h"
#include "manage/managed_model.h"
#include "manage/schedule.h"

enum { EXPERT_CHOSEN = 1, EXPERT_STAYS = 2 };

struct known_graph {
    struct graph_uses uses;
    struct schedule schedule;
    uint8_t ** chosen;            /* by router: of each expert EXPERT_CHOSEN, and EXPERT_STAYS */
    uint32_t * pieces;            /* room for those of one router, */
    bool * stay;                  /* and whether they do */
    struct foresight * foresight; /* NULL: nothing is foreseen */
    uint32_t host;                /* its number */
    const void * results;         /* where the last one put its first */
};

/* Takes over the uses. The caller frees with known_graph_free. NULL: memory. */
struct known_graph * known_graph_new(const struct managed_model * model, struct graph_uses uses, uint32_t host);
void known_graph_free(struct known_graph * graph);

#endif
