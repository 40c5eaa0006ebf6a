/* SPDX-License-Identifier: MIT
 *
 * The graphs of each ubatch together. A ubatch may be computed in several: where another backend takes some nodes, and
 * where the host looks at each node. It begins with the graph that takes tokens and goes on with those of the same
 * thread after it. What another backend computed shows in what the trace has of it: a graph reads a result that none of
 * them computed, or nothing comes out.
 */
#ifndef TAT_ANALYSIS_UBATCHES_H
#define TAT_ANALYSIS_UBATCHES_H

#include "tat/trace.h"

/* The most entries of graphs, or work of that size, so that no trace from anywhere keeps us longer than seconds. */
#define UBATCHES_WORK_MOST ((uint64_t) 1 << 31)

struct ubatch {
    const uint32_t * evaluations; /* in order */
    uint32_t count;
    bool takes_tokens;             /* false for a shift of the cache and the like */
    bool is_cut;                   /* aborted, or the process was killed in it; says nothing about other backends */
    bool is_silent;                /* a model began it, but it gives neither logits nor embeddings */
    uint64_t n_results, n_foreign; /* inputs computed by another graph; those computed by no graph in the trace */
    uint32_t evaluation, leaf;     /* the first of the latter */
};

/* True if another backend computed a part. */
static inline bool ubatch_is_partial(const struct ubatch * u) {
    return u->n_foreign > 0 || (u->takes_tokens && !u->is_cut && u->is_silent);
}

/* Called with each ubatch: thread by thread, each in order of time. */
typedef void (*ubatch_sink)(const struct ubatch * ubatch, void * user);

/* Returns 0; 1: ended early, because the trace has too many graphs in pieces to finish within seconds; -1: no
 * memory. */
int ubatches_each(const struct tat_trace * trace, ubatch_sink sink, void * user);

#endif
