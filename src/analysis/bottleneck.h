/* SPDX-License-Identifier: MIT
 *
 * Which of several things that each token needs, such as layers, takes longer than the others, and by more than chance.
 *
 * The rule compares each with the median of all, token by token, so that a slow token, which slows all, counts for
 * nothing. A bottleneck takes at least BOTTLENECK_FACTOR times the median: by the median over tokens, and so in nearly
 * all parts of the run. Tokens near each other are alike, so they are no independent samples. So the run is cut into
 * PARTS_OF_RUN stretches (batches, as of Conway, Management Science 10:47, 1963), of which each has one vote, its
 * median; the votes pass if a fair coin gives as many with a chance of less than 5 % (the sign test: Dixon and Mood,
 * JASA 41:557, 1946). Fewer than five tokens cannot pass.
 */
#ifndef TAT_ANALYSIS_BOTTLENECK_H
#define TAT_ANALYSIS_BOTTLENECK_H

#include "analysis/token_times.h"

#define BOTTLENECK_FACTOR 1.1
enum { PARTS_OF_RUN = 10 };

struct standing {
    uint32_t column;
    double times;         /* its time by that of the median column: the median over tokens */
    uint32_t parts, slow; /* votes, and those of them that are for it */
    bool is_bottleneck;
    uint64_t sum_ns; /* of all tokens: of two that take as many times as long, the one with more stands first */
};

/* Of the columns below `columns` that took any time: how they stand, bottlenecks before the others, the slowest first.
 * *n: how many there are. The caller's; NULL: memory. */
struct standing * standings_of(const struct token_times * times, uint32_t columns, uint32_t * n);

/* Of the column that took longest in sum: how its excess over the average lies. */
struct excess {
    uint32_t column;
    double times;    /* the average's sum */
    uint32_t tokens; /* the fewest that together have half of the excess; 0 if there is none */
};

/* False: memory. */
bool excess_of(const struct token_times * times, uint32_t columns, struct excess * excess);

#endif
