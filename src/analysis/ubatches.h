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

/* Entries of graphs, or as much work as one: no trace, wherever it comes from, keeps us longer than seconds. */
#define UBATCHES_WORK_MOST ((uint64_t) 1 << 31)

struct ubatch {
    const uint32_t * evaluations; /* in order */
    uint32_t count;
    bool takes_tokens;             /* else it is a shift of the cache, or the like */
    bool is_cut;                   /* aborted, or the process was killed in it: it tells nothing of other backends */
    bool is_silent;                /* nothing comes out, neither logits nor embeddings, though a model began it */
    uint64_t n_results, n_foreign; /* that came from another graph; those that came from none in the trace */
    uint32_t evaluation, leaf;     /* the first of those */
};

/* Whether another backend computed a part. */
static inline bool ubatch_is_partial(const struct ubatch * u) {
    return u->n_foreign > 0 || (u->takes_tokens && !u->is_cut && u->is_silent);
}

/* Called with each ubatch, thread by thread, in order of time. */
typedef void (*ubatch_sink)(const struct ubatch * ubatch, void * user);

/* Returns 0; 1 where it ended early, as the trace has too many graphs in pieces for that to take seconds; -1: memory.
 */
int ubatches_each(const struct tat_trace * trace, ubatch_sink sink, void * user);

#endif
