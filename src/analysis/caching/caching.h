/* SPDX-License-Identifier: MIT
 *
 * The section on caching: what its files share.
 */
#ifndef TAT_ANALYSIS_CACHING_CACHING_H
#define TAT_ANALYSIS_CACHING_CACHING_H

#include "analysis/caching/curves.h"
#include "analysis/caching/working_set.h"
#include "analysis/units.h"

enum {
    SIZES = 64,    /* the weights in equal parts: the last size holds all */
    GIVEN = SIZES, /* and the size that was asked for */
    ALL_SIZES = SIZES + 1,
    KINDS = 5,
};

/* In bytes, of all graphs. */
struct reads_in_all {
    uint64_t all;
    uint64_t rows;    /* of these, of what no policy keeps: rows of embeddings */
    uint64_t touched; /* whole weights and experts, each once */
};

struct caching {
    const struct subject * subject;
    struct references references;
    struct block_curves blocks;
    struct simulation simulation;
    struct simulated simulated[KINDS][ALL_SIZES];
    struct simulated bound[ALL_SIZES];
    uint64_t bound_first; /* bytes */
    struct working_set working_set;
    uint64_t weight_bytes;
    struct reads_in_all reads;
};

/* What is compared: LRU on blocks, policies on slices, MIN on blocks and on bytes, in the order of their columns. */
enum { LRU_BLOCKS, MIN_BLOCKS = 1 + KINDS, BOUND, STRATEGIES };

struct outcome {
    double saved;           /* share of the bytes wanted */
    double again_per_token; /* bytes read again for a generated token, whole blocks where there are blocks */
};

/* Sizes that people ask about: the one given, and a quarter, half, three quarters of the weights. */
enum { ASKED = 4 };
extern const unsigned caching_asked[ASKED];

const char * caching_name(unsigned strategy);
const char * caching_title(unsigned strategy);
struct outcome caching_outcome(const struct caching * s, unsigned strategy, unsigned size);
const char * caching_size_name(unsigned size); /* of one of those asked about */

/* In bytes; 0 for GIVEN if none was. */
uint64_t caching_size(const struct caching * s, unsigned size);

/* The size that sentences are about, and its name. */
unsigned caching_told(const struct caching * s, char text[static 2 * UNITS_SIZE]);

/* Bytes from the disk, where so many blocks are read again. */
uint64_t caching_bytes_read(const struct block_curves * b, const struct again * again);

/* A table of all strategies by size: which figure of an outcome, in which unit. */
struct by_size {
    const char * name;
    const char * title;
    enum unit unit;
    double (*figure)(const struct caching * s, struct outcome outcome);
};

void caching_by_size(const struct caching * s, struct result * r, const struct by_size * table);

bool caching_simulate(struct caching * s); /* false: memory */
void caching_savings(const struct caching * s, struct result * r);
void caching_speed(const struct caching * s, struct result * r);
void caching_curves(const struct caching * s, struct result * r);

#endif
