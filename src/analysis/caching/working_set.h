/* SPDX-License-Identifier: MIT
 *
 * The working set: the bytes of the weights that a window of graphs of generated tokens reads at all (Denning: The
 * working set model for program behavior, CACM 1968), at all places of the window. Slices read whole; rows of
 * embeddings are not in it.
 */
#ifndef TAT_ANALYSIS_CACHING_WORKING_SET_H
#define TAT_ANALYSIS_CACHING_WORKING_SET_H

#include "analysis/caching/references.h"
#include "analysis/result.h"

enum { WORKING_SETS = 40 };

struct window {
    size_t graphs; /* 1, 2, 4, ... */
    double mean;   /* bytes */
    uint64_t least, median, most;
    /* Of what a window reads, the share that the window right behind it reads too; of what the first one reads, the
     * share that the last one of the run reads too. Where the latter is smaller, what is read drifts. */
    double next, last;
    bool has_next; /* the run has room for two */
};

struct working_set {
    const struct references * references;
    size_t graphs; /* of generated tokens */
    size_t count;
    struct window window[WORKING_SETS];
    uint64_t * bytes; /* by window, then by its last graph */
};

bool working_set_find(const struct references * r, struct working_set * w); /* false: memory; free it in either case */
void working_set_free(struct working_set * w);

/* Of the window that ends with a graph. */
static inline uint64_t working_set_at(const struct working_set * w, size_t window, size_t graph) {
    return w->bytes[window * (w->graphs + 1) + graph];
}

void working_set_tables(const struct working_set * w, uint64_t weight_bytes, struct result * r);
void working_set_answer(const struct working_set * w, uint64_t weight_bytes, struct result * r);

#endif
