/* SPDX-License-Identifier: MIT
 *
 * What grids are made with, for their own files.
 */
#ifndef TAT_ANALYSIS_VIEW_GRID_PARTS_H
#define TAT_ANALYSIS_VIEW_GRID_PARTS_H

#include "analysis/view/grid.h"

#define GRID_NO_ROW UINT32_MAX

struct grid {
    const struct subject * subject;
    const struct grid_query * query;
    struct grid_tile * tile;
    const struct pyramid * pyramid; /* NULL: sums are made from the trace */
    uint32_t layers;                /* counting them takes a look at every graph */
    uint64_t column_span, row_span;
    uint32_t * row_of; /* by row of the data: that of its cells, or GRID_NO_ROW: it is outside of the window */
    uint64_t n_rows;   /* of the data */
    struct tile_band band; /* of each thread */
};

/* Columns begin at multiples of `unit`. False: no memory. */
bool grid_lay_out(struct grid * g, uint64_t x_length, uint64_t y_length, uint64_t unit);

/* A band of all columns; view_grid frees it. False: no memory. */
bool grid_begin_band(struct grid * g);

/* Where a cell of the band is. False: the row is outside of the window. */
static inline bool grid_cell(const struct grid * g, uint32_t column, uint64_t row, size_t * cell) {
    if (row >= g->n_rows || g->row_of[row] == GRID_NO_ROW) { return false; }
    *cell = tile_band_cell(&g->band, column, g->row_of[row]);
    return true;
}

/* Fills a column of cells with the sums of one column of the data, and goes on to the next. `tensors`, by number, say
 * who dominates; NULL: nobody. */
void grid_fill_column(struct grid * g, uint32_t column, const double * values, uint32_t n_values,
                      const double * tensors, uint32_t n_tensors);

/* grid_tokens.c. 0, or -1 with *error. */
int grid_by_token(struct grid * g, const struct token_axis * axis, struct tat_error * error);

/* grid_blocks.c: whether blocks are good enough for the query, and what they answer. 0, or -1 with *error. */
bool grid_has_blocks(const struct grid * g);
int grid_from_blocks(struct grid * g, struct tat_error * error);

#endif
