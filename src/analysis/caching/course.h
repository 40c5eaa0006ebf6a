/* SPDX-License-Identifier: MIT
 *
 * When generated tokens read slices, on a clock that counts computing alone: the time of all operations before, as
 * thread 0 took it, one graph right behind the other.
 */
#ifndef TAT_ANALYSIS_CACHING_COURSE_H
#define TAT_ANALYSIS_CACHING_COURSE_H

#include "analysis/caching/references.h"

struct course_read {
    uint64_t at, until; /* ns: its operation */
    uint64_t known; /* ns: from when on it is clear that it will be read. An expert: when its router was done; else 0 */
    uint64_t operation; /* how many there are before its own */
    uint32_t slice;
    uint32_t graph; /* among those of generated tokens, from 0 */
};

struct course {
    const struct references * references;
    struct list reads;  /* struct course_read, of whole graphs, the first ones */
    uint64_t * written; /* by tensor: when it was written last */
    uint32_t n_graphs;  /* that read weights */
    uint32_t evaluation, node;
    uint64_t now, operation, duration;
    uint64_t ids;    /* of the operation: when its ids were known; NOT_KNOWN: it has none */
    uint32_t result; /* tensor */
    uint32_t first;  /* read of the operation, and of its graph */
    uint32_t graph_first;
    uint32_t most; /* reads; the graph that reaches it is the last */
    bool begun, reads_weights, full, failed;
};

enum { COURSE_READS = 1 << 15 }; /* as many as can be simulated often */

bool course_begin(struct course * c, const struct references * r, uint32_t most); /* false: memory; free it anyway */
void course_feed(struct course * c, const struct tat_access * records, size_t count);
void course_end(struct course * c); /* no more will come */
void course_free(struct course * c);

static inline const struct course_read * course_at(const struct course * c, size_t i) {
    return &LIST(const struct course_read, c->reads)[i];
}

#endif
