/* SPDX-License-Identifier: MIT
 *
 * The share of its layer's choices that each expert gets in each run.
 */
#ifndef TAT_ANALYSIS_DIFF_SHARES_H
#define TAT_ANALYSIS_DIFF_SHARES_H

#include "analysis/diff/diff.h"

/* Tables "most_changed", shown if `differs`, and "shares"; and how many choices they are shares of. */
void shares_show(const struct diff * d, bool differs, struct result * r);

#endif
