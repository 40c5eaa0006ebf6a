/* SPDX-License-Identifier: MIT
 *
 * What caches of all sizes would have held of a string of references: LRU and MIN on blocks of one size, exactly and at
 * every size; policies on slices, simulated at some.
 */
#ifndef TAT_ANALYSIS_CACHING_CURVES_H
#define TAT_ANALYSIS_CACHING_CURVES_H

#include "analysis/caching/references.h"
#include "policy/policy.h"

/* Reads in bytes, and those of them that a cache cannot save: the first of each byte. */
struct reads {
    uint64_t all, first;
    uint64_t generated_first; /* of these, by generation */
    uint64_t tokens;          /* generated ones */
    size_t graphs;            /* that were looked at, from the first */
};

/* Blocks read again although they were read before. */
struct again {
    uint64_t blocks, generated; /* generated: for generated tokens */
};

/* By cache size in blocks from 0. */
struct block_curves {
    uint64_t block_bytes;
    uint32_t n_blocks;  /* different ones read; larger caches gain nothing */
    struct again * lru; /* n_blocks + 1 */
    struct again * min;
    uint64_t block_reads;
    uint64_t wanted;   /* bytes: each read wants what it needs of a block */
    uint64_t tokens;   /* generated */
    size_t graphs;     /* that were looked at, from the first */
    uint64_t unplaced; /* references that lie outside of all files, or are too large to be real */
};

bool block_curves_make(struct block_curves * c, const struct references * r); /* false: memory; free it anyway */
void block_curves_free(struct block_curves * c);

/* Bytes read again by one policy in a cache of one size. */
struct simulated {
    uint64_t again, again_generated;
};

/* What all simulations share. */
struct simulation {
    const struct references * references;
    struct policy_items items;
    uint64_t * value;
    struct reads reads; /* rows of embeddings among them, which no policy keeps */
    uint64_t rows, rows_generated;
};

bool simulation_begin(struct simulation * s, const struct references * r);
void simulation_end(struct simulation * s);
bool simulate(const struct simulation * s, const struct policy_kind * kind, uint64_t capacity,
              struct simulated * found);

#endif
