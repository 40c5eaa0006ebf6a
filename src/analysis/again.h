/* SPDX-License-Identifier: MIT
 *
 * What a graph reads of a weight a second time. Only weights that two operands of a graph share can be: most often a
 * token embedding, read by rows and once more, as a whole, for the output.
 */
#ifndef TAT_ANALYSIS_AGAIN_H
#define TAT_ANALYSIS_AGAIN_H

#include "analysis/analysis.h"

struct again;

/* NULL: no memory. again_end frees it. */
struct again * again_begin(const struct subject * subject);

/* Call it before the records of a tally. */
void again_tally(struct again * a, const struct tat_tally * tally);
/* One of its records, which touches a weight. */
void again_add(struct again * a, const struct tat_tally * tally, const struct tat_access * access);

/* By phase, the sum over its evaluations of bytes touched less different bytes touched. `bytes`: may be NULL. A weight
 * of which rows are read counts as read again if the same graph also reads the whole tensor, but not if it reads
 * another part. Sets *failed if memory ran out. `again`: may be NULL. */
void again_end(struct again * a, uint64_t bytes[TAT_PHASE_COUNT], bool * failed);

#endif
