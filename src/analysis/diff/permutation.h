/* SPDX-License-Identifier: MIT
 * A permutation test over runs (R. A. Fisher, The Design of Experiments, 1935, section 21). If chance had dealt the
 * runs to the sides, how often would the sides lie as far apart as they do? Only runs need to be independent.
 */
#ifndef TAT_ANALYSIS_DIFF_PERMUTATION_H
#define TAT_ANALYSIS_DIFF_PERMUTATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PERMUTATION_RUNS = 64, PERMUTATIONS = 2000 };

struct permutation {
    double p;     /* NAN: a side has fewer than two runs, or there are more than PERMUTATION_RUNS */
    double least; /* the smallest p that so many runs can give */
    bool exact;   /* all arrangements were tried; otherwise PERMUTATIONS of them, the same ones each time */
};

/* `distance` says how far the sides lie apart if the runs whose bits are set are the second side. In the arrangement
 * seen those are the last `ny` of `nx + ny`. Thread-safe if `distance` is. */
struct permutation permutation_test(size_t nx, size_t ny, double (*distance)(uint64_t is_y, void * user), void * user);

#endif
