/* SPDX-License-Identifier: MIT
 *
 * The tensors of two sides, put together by name.
 */
#ifndef TAT_ANALYSIS_DIFF_JOIN_H
#define TAT_ANALYSIS_DIFF_JOIN_H

#include "analysis/diff/diff.h"
#include "analysis/diff/statistics.h"

enum { SIDES = 2 };
enum { MEASURED_ACCESSES, MEASURED_BYTES, MEASURED_NS, MEASURES };

/* A tensor of both sides, or of one. Figures are per token; for repeated runs, their mean. */
struct joined {
    const struct touched * t;
    double mean[MEASURES][SIDES];
    struct difference ns; /* with its interval, if both sides were repeated */
    bool has[SIDES];
};

struct comparison {
    const struct side * side[SIDES];
    struct joined * all;
    size_t n;
};

/* Fills in `all` and `n`; free `all` in either case. False: no memory. */
bool diff_join(const struct diff * d, struct comparison * c);

#endif
