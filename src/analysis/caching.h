/* SPDX-License-Identifier: MIT
 *
 * The section on caching: what its files share.
 */
#ifndef TAT_ANALYSIS_CACHING_H
#define TAT_ANALYSIS_CACHING_H

#include "analysis/curves.h"
#include "analysis/working_set.h"

enum {
    SIZES     = 64,    /* the weights in equal parts: the last size holds all */
    GIVEN     = SIZES, /* and the size that was asked for */
    ALL_SIZES = SIZES + 1,
    KINDS     = 5,
};

/* In bytes, of all graphs. */
struct reads_in_all {
    uint64_t all;
    uint64_t rows;    /* of these, of what no policy keeps: rows of embeddings */
    uint64_t touched; /* whole weights and experts, each once */
};

struct caching {
    const struct subject * subject;
    struct references      references;
    struct block_curves    blocks;
    struct simulation      simulation;
    struct simulated       simulated[KINDS][ALL_SIZES];
    struct simulated       bound[ALL_SIZES];
    struct working_set     working_set;
    uint64_t               weight_bytes;
    struct reads_in_all    reads;
};

/* In bytes; 0 for GIVEN if none was. */
uint64_t caching_size(const struct caching * s, unsigned size);

bool caching_simulate(struct caching * s); /* false: memory */
void caching_savings(const struct caching * s, struct result * r);
void caching_bounds(const struct caching * s, struct result * r);
void caching_curves(const struct caching * s, struct result * r);

#endif
