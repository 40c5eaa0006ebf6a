/* SPDX-License-Identifier: MIT
 *
 * The few tests that comparing runs takes. Thread-safe; NAN where a figure is not defined.
 */
#ifndef TAT_ANALYSIS_DIFF_STATISTICS_H
#define TAT_ANALYSIS_DIFF_STATISTICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

double mean_of(const double * values, size_t n);

/* Spearman's rank correlation, ties at their mean rank (Pearson's correlation of the ranks). NAN where one side is all
 * ties, there are fewer than two, or memory is short. */
double spearman(const double * x, const double * y, size_t n);

/* The rank test of Mann and Whitney, two-sided: do values of one side tend to be larger? */
struct rank_test {
    double u;        /* pairs in which y is the larger one, ties half */
    double superior; /* u by all pairs: the chance that a y exceeds an x */
    double p;        /* NAN where a side is empty or memory is short */
    bool exact;      /* by counting all arrangements, ties included; else the normal approximation */
};
struct rank_test rank_test(const double * x, size_t nx, const double * y, size_t ny);

/* Mean of y less mean of x, with its 95 % confidence interval by Welch's t test: variances may differ. NAN bounds where
 * a side has fewer than two values. */
struct difference {
    double value, low, high;
};
struct difference mean_difference(const double * x, size_t nx, const double * y, size_t ny);

/* The chance of as much or more, with so many degrees of freedom. */
double chi_square_p(double chi_square, uint64_t freedom);

/* Two counts of the same n classes. */
struct distance {
    double variation;  /* total variation: half the sum of differences of shares, 0 to 1 */
    double divergence; /* Jensen-Shannon, in bits, 0 to 1 */
};
/* NAN where a side counts nothing. */
struct distance distance_of(const uint64_t * a, const uint64_t * b, size_t n);

#endif
