/* SPDX-License-Identifier: MIT
 *
 * The working set: the bytes of the weights that a window of graphs of generated tokens reads at all (Denning: The
 * working set model for program behavior, CACM 1968), on average over all places of the window. Slices read whole; rows
 * of embeddings are not in it.
 */
#ifndef TAT_ANALYSIS_CACHING_WORKING_SET_H
#define TAT_ANALYSIS_CACHING_WORKING_SET_H

#include "analysis/caching/references.h"

enum { WORKING_SETS = 40 };

struct working_set {
    size_t graphs; /* there are */
    size_t count;
    size_t window[WORKING_SETS]; /* in graphs: 1, 2, 4, ... */
    double bytes[WORKING_SETS];
};

bool working_set_find(const struct references * r, struct working_set * w); /* false: memory */

#endif
