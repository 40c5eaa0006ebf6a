/* SPDX-License-Identifier: MIT
 *
 * What a graph reads of a weight a second time. Only weights that two operands of a graph share can be: most often a
 * token embedding, read by rows and once more, as a whole, for the output.
 */
#ifndef TAT_ANALYSIS_HOT_AGAIN_H
#define TAT_ANALYSIS_HOT_AGAIN_H

#include "analysis/analysis.h"

struct again;

/* NULL: memory. again_end frees it. */
struct again * again_begin(const struct subject * subject);

/* Before the records of a tally. */
void again_tally(struct again * a, const struct tat_tally * tally);
/* A record of it that touches a weight. */
void again_add(struct again * a, const struct tat_tally * tally, const struct tat_access * access);

/* Bytes touched in each evaluation, less those that are different there, in all evaluations. What is read by rows
 * counts as read again where the same graph reads the whole tensor too; where it reads another part, not. Sets *failed
 * if memory ran out. NULL is allowed. */
uint64_t again_end(struct again * a, bool * failed);

#endif
