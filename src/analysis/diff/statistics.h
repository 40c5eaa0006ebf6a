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

/* Spearman's rank correlation: Pearson's correlation of the ranks, where ties have their mean rank. NAN if one side is
 * all ties, there are fewer than two values, or memory is short. */
double spearman(const double * x, const double * y, size_t n);

/* The two-sided rank test of Mann and Whitney: do values of one side tend to be larger? */
struct rank_test {
    double u;        /* pairs in which y is the larger one, ties half */
    double superior; /* u divided by all pairs: the chance that a y exceeds an x */
    double p;        /* NAN if a side is empty or memory is short */
    bool exact;      /* p comes from counting all arrangements, ties included; else from the normal approximation */
};
struct rank_test rank_test(const double * x, size_t nx, const double * y, size_t ny);

/* The mean of y less the mean of x, with the 95 % confidence interval of Welch's t test, which lets variances differ.
 * The bounds are NAN if a side has fewer than two values. */
struct difference {
    double value, low, high;
};
struct difference mean_difference(const double * x, size_t nx, const double * y, size_t ny);

/* The chance of this value or more, with so many degrees of freedom. */
double chi_square_p(double chi_square, uint64_t freedom);

/* Two counts of the same n classes. */
struct distance {
    double variation;  /* total variation: half the sum of differences of shares, 0 to 1 */
    double divergence; /* Jensen-Shannon, in bits, 0 to 1 */
};
/* NAN if a side counts nothing. */
struct distance distance_of(const uint64_t * a, const uint64_t * b, size_t n);

#endif
