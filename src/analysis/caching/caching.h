/* SPDX-License-Identifier: MIT
 *
 * The section on caching: what its files share.
 */
#ifndef TAT_ANALYSIS_CACHING_CACHING_H
#define TAT_ANALYSIS_CACHING_CACHING_H

#include "analysis/caching/course.h"
#include "analysis/caching/outcomes.h"
#include "analysis/caching/working_set.h"
#include "analysis/result.h"
#include "analysis/storage/storage.h"
#include "analysis/units.h"

/* In bytes, of all graphs. */
struct reads_in_all {
    uint64_t all;
    uint64_t rows;    /* of these, what is not a whole weight or expert: rows of embeddings */
    uint64_t touched; /* whole weights and experts, each once */
};

struct caching {
    const struct subject * subject;
    struct references references;
    struct course course;
    struct cache_string string;
    struct outcomes outcomes;
    struct working_set working_set;
    uint64_t weight_bytes;
    double sampling_error; /* of a share that is saved; 0: all was looked at */
    struct reads_in_all reads;
    struct storage_pace pace;
};

/* What a strategy makes of the string in a cache of one size. */
struct outcome {
    /* Shares of the bytes wanted; below 0 where whole blocks are read for less than a cache saves. */
    double saved, saved_generated; /* of all, and of generated tokens: the prompt fills the cache */
    double again_per_token;        /* bytes read again for a generated token */
};

struct outcome caching_outcome(const struct caching * s, unsigned strategy, unsigned size);
double caching_outcome_of_none(const struct caching * s); /* what is saved without any room: rows that share a block */

const char * caching_name(const struct caching * s, unsigned strategy);
const char * caching_title(const struct caching * s, unsigned strategy);

/* " in the first 7 of 60 graphs", where the string of reads ends before the run does; else "". Returns `text`. */
const char * caching_graphs(const struct caching * s, char text[static 64]);
unsigned caching_lru(const struct caching * s); /* its number */
unsigned caching_min(const struct caching * s);

/* The online policy of which `figure` is best; of equals the first. */
unsigned caching_best(const struct caching * s, unsigned size,
                      double (*figure)(const struct caching * s, struct outcome));

/* The one that saves most; the one that reads least again for generated tokens. */
unsigned caching_best_saving(const struct caching * s, unsigned size);
unsigned caching_least_again(const struct caching * s, unsigned size);

/* A generated token takes, as measured. 0: unknown. */
double caching_token_seconds(const struct caching * s);

/* The size that sentences are about, and its name. */
unsigned caching_told(const struct caching * s, char text[static 2 * UNITS_SIZE]);

/* Sizes that people ask about: a quarter, half, three quarters of the weights, and the one given. */
enum { ASKED = 4 };
unsigned caching_asked(unsigned number);

/* A table of all strategies by size: which figure of an outcome, in which unit. */
struct by_size {
    const char * name;
    const char * title;
    enum unit unit;
    enum show show;
    double (*figure)(const struct caching * s, struct outcome outcome);
};

void caching_by_size(const struct caching * s, struct result * r, const struct by_size * table);

void caching_savings(const struct caching * s, struct result * r);
void caching_beside(const struct caching * s, struct result * r);
void caching_speed(const struct caching * s, struct result * r);
bool caching_pages(const struct caching * s, struct result * r); /* false: memory */
bool caching_lead(const struct caching * s, struct result * r);  /* false: memory */
void caching_curves(const struct caching * s, struct result * r);
bool caching_reuse(const struct caching * s, struct result * r); /* false: memory */

#endif
