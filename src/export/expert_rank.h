/* SPDX-License-Identifier: MIT
 *
 * What to keep in a memory that does not hold all: experts, or all experts of a layer.
 */
#ifndef TAT_EXPORT_EXPERT_RANK_H
#define TAT_EXPORT_EXPERT_RANK_H

#include "export/expert_plan.h"

struct candidate {
    double worth;    /* reads of a byte */
    double evenness; /* decides where that is the same */
    uint64_t count, bytes;
    size_t at; /* its place in `keep` */
};

/* Takes one after the other, the most worth first; what has no room left is passed over. Adds to *plan. */
void expert_rank_fill(struct candidate * all, size_t n, uint64_t memory, bool * keep, struct expert_plan * plan);

#endif
