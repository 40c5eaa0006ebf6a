/* SPDX-License-Identifier: MIT
 *
 * What of the time thread 0 waited at barriers for the other threads, for the section that tells where the time goes.
 */
#ifndef TAT_ANALYSIS_WAITS_H
#define TAT_ANALYSIS_WAITS_H

#include "analysis/analysis.h"

struct waits;

struct waits * waits_begin(const struct subject * subject); /* NULL: no memory */
void waits_tally(struct waits * w, const struct tat_tally * t);

/* Puts the table into the result and frees `w`. `ns`: the time of all operations. */
void waits_finish(struct waits * w, struct result * r, uint64_t ns);

#endif
