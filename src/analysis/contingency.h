/* SPDX-License-Identifier: MIT
 *
 * Whether two ways to sort the same things depend on each other: chi-square of the table of counts (K. Pearson, 1900),
 * and Cramer's V (H. Cramer, Mathematical Methods of Statistics, 1946, chapter 21): the strength of the dependence from
 * 0 to 1, which does not grow with the counts as chi-square does.
 */
#ifndef TAT_ANALYSIS_CONTINGENCY_H
#define TAT_ANALYSIS_CONTINGENCY_H

#include <stdbool.h>
#include <stdint.h>

enum { CONTINGENCY_FEW = 5 }; /* expected in a cell: below this, chi-square is unreliable (W. G. Cochran, 1954) */

struct contingency {
    uint64_t count;
    uint64_t freedom; /* degrees of freedom; 0: fewer than two rows or columns hold anything, and all else is 0 */
    double chi_square, v;
    double v_by_chance;    /* about the V of independent counts, whose chi-square is `freedom` */
    double v_corrected;    /* what is left of v without chance (W. Bergsma, A bias-correction for Cramer's V, 2013) */
    uint64_t cells, few;   /* of rows and columns that hold anything; of these, with fewer than CONTINGENCY_FEW */
    uint64_t times_needed; /* so many times the counts would be enough: a power of two; 1: these are; 0: unknown */
};

/* After Cochran: no more than a fifth of the cells may expect fewer than CONTINGENCY_FEW. */
static inline bool contingency_is_enough(const struct contingency * t) {
    return t->few * 5 <= t->cells;
}

/* counts[row * columns + column] */
struct contingency contingency_of(const uint64_t * counts, uint32_t rows, uint32_t columns);

#endif
