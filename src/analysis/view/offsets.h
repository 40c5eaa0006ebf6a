/* SPDX-License-Identifier: MIT
 *
 * Which bytes of the model's files were read when: time from left to right, offsets from top to bottom.
 */
#ifndef TAT_ANALYSIS_VIEW_OFFSETS_H
#define TAT_ANALYSIS_VIEW_OFFSETS_H

#include "analysis/view/file_reads.h"
#include "analysis/view/tile.h"

/* Files lie one behind the other in the order of their numbers. By order: tensors lie one behind the other in the order
 * in which they were read first, and what was never read is left out. */
enum offsets_by { OFFSETS_BY_PLACE, OFFSETS_BY_ORDER };

struct offsets_query {
    enum offsets_by by;
    uint64_t t0, t1; /* nanoseconds of the trace: operations that began in [t0, t1) */
    uint64_t o0, o1; /* bytes; beyond the end: up to it */
    uint32_t most_columns, most_rows;
};

/* Of a cell, the value is how many bytes were read there by operations that began then; `dominant` is the number of the
 * component that has most of them (enum tat_component), or GRID_NO_TENSOR. x is time, y offsets. Reads with gaps count
 * as spread evenly over their extent. Loading and warm-up are left out. `reads`: of the same trace, or NULL. With them,
 * evaluations that lie in one column are not read from the trace. 0, or -1 with *error. Thread-safe. The caller frees
 * the tile. */
int view_offsets(const struct subject * subject, const struct offsets_query * query, const struct file_reads * reads,
                 struct grid_tile * tile, struct tat_error * error);

#endif
