/* SPDX-License-Identifier: MIT
 *
 * What those share who make a pyramid and who read one from a file.
 */
#ifndef TAT_ANALYSIS_VIEW_PYRAMID_PARTS_H
#define TAT_ANALYSIS_VIEW_PYRAMID_PARTS_H

#include "analysis/view/pyramid.h"

enum { PYRAMID_MARKS_MOST = 128 };

/* Laid out for this trace, with sums that are all 0 and no marks yet; the caller owns it. NULL: no memory. */
struct pyramid * pyramid_new(const struct subject * subject, const struct token_axis * axis);

/* Numbers in a mark. */
size_t pyramid_reads(const struct pyramid * pyramid);

/* Makes the sums of one block anew in `row`, as pyramid_make makes them, bit by bit. 0, or -1 with *error. */
int pyramid_sum_block(const struct pyramid * pyramid, const struct subject * subject, const struct token_axis * axis,
                      uint32_t block, double * row, struct tat_error * error);

#endif
