/* SPDX-License-Identifier: MIT
 *
 * How long each generated token took, and each layer or operation of it: medians and percentiles show what is usual,
 * where a sum also holds the few tokens during which the machine did something else.
 */
#ifndef TAT_ANALYSIS_TOKEN_TIMES_H
#define TAT_ANALYSIS_TOKEN_TIMES_H

#include "analysis/analysis.h"
#include "tat/sums.h"

/* Of a graph's evaluations; one is a token where `single`. A long run is sampled evenly: at most TIMES_MOST values. */
struct token_times {
    enum tat_phase phase; /* generation; of a run without it, the phase of inference with most evaluations */
    uint32_t n, columns;
    bool single;           /* each evaluation has one token */
    uint64_t * ns;         /* n rows of `columns` */
    uint32_t * evaluation; /* whose row it is */
};
enum { TIMES_MOST = 1 << 22 };

/* Whole evaluations only: of those that ended early or were not recorded nothing is typical. False: memory, or the file
 * was cut. To be freed in any case. */
bool token_times_of(const struct subject * s, enum tat_key by, struct token_times * times);
void token_times_free(struct token_times * times);

/* What one row is of: "generated token", or "graph". */
static inline const char * times_unit(const struct token_times * times) {
    return times->single && times->phase == TAT_PHASE_GENERATE ? "generated token" : "graph";
}

/* How long the evaluations took as a whole: sorted, as many as there are, which *n says. The caller's; NULL: memory. */
uint64_t * evaluation_times(const struct subject * s, enum tat_phase phase, size_t * n);

/* The nearest rank: the smallest value that at least so many percent do not exceed. Of sorted values; 0 if n is 0. */
uint64_t percentile(const uint64_t * sorted, size_t n, unsigned percent);

/* Likewise, of one column. `room` holds n values. */
struct spread {
    uint64_t p50, p90, p99;
};
struct spread spread_of(const struct token_times * times, uint32_t column, uint64_t * room);
struct spread spread_of_sorted(const uint64_t * sorted, size_t n);

/* qsort. */
int by_value(const void * a, const void * b);

/* Puts p50_ns, p90_ns and p99_ns into a row. */
void put_spread(struct result * r, json_t * row, const struct spread * spread);

#endif
