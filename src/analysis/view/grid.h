/* SPDX-License-Identifier: MIT
 *
 * Sums in cells: tokens or layers from left to right, what they touched from top to bottom. A window of any size is
 * answered with about as many cells as were asked for. Sums are those of tat_matrix, and so of `tat report`.
 */
#ifndef TAT_ANALYSIS_VIEW_GRID_H
#define TAT_ANALYSIS_VIEW_GRID_H

#include "analysis/view/pyramid.h"
#include "analysis/view/tile.h"

enum grid_columns { GRID_TOKENS, GRID_LAYERS };

/* Rows are numbered as tat_matrix numbers its columns. */
enum grid_rows {
    GRID_BY_LAYER = PYRAMID_BY_LAYER,
    GRID_BY_TENSOR = PYRAMID_BY_TENSOR,
    GRID_BY_COMPONENT = PYRAMID_BY_COMPONENT,
    GRID_BY_EXPERT = PYRAMID_BY_EXPERT
};

struct grid_query {
    enum grid_columns x;
    enum grid_rows y;
    enum tat_measure measure;
    uint64_t x0, x1, y0, y1; /* [x0, x1) and [y0, y1); beyond the end: up to it */
    uint32_t most_columns, most_rows;
    int32_t layer; /* of experts by token: whose they are; -1: of all layers together */
};

/* Of the tile, x0 may be before that of the query; x1 and y1 are as far as the last cells reach. Values are accesses,
 * bytes, or nanoseconds of thread 0 from callback to callback; `dominant` is the tensor that has most of the value.
 * `pyramid`: of the same trace, or NULL. With it, wide windows are answered from blocks: columns then begin and end
 * where blocks do. 0, or -1 with *error: there are no such sums, or no memory. The caller frees the tile. Thread-safe.
 */
int view_grid(const struct subject * subject, const struct grid_query * query, const struct pyramid * pyramid,
              struct grid_tile * tile, struct tat_error * error);

#endif
