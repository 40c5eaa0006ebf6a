/* SPDX-License-Identifier: MIT
 *
 * A picture's cells.
 */
#ifndef TAT_ANALYSIS_VIEW_TILE_H
#define TAT_ANALYSIS_VIEW_TILE_H

#include <stdbool.h>
#include <stdint.h>

#define GRID_NO_TENSOR UINT32_MAX

/* All cells stand for as many columns and rows of the data. */
struct grid_tile {
    uint64_t x0, x1, y0, y1;
    uint32_t columns, rows;
    double * values;     /* [row][column] */
    uint32_t * dominant; /* [row][column]; GRID_NO_TENSOR: none */
};

/* Makes cells of nothing. False: no memory. Free them in any case. */
bool grid_tile_begin(struct grid_tile * tile, uint64_t x0, uint64_t x1, uint64_t y0, uint64_t y1, uint64_t columns,
                     uint64_t rows);
void grid_tile_free(struct grid_tile * tile);

enum { TILE_BAND = 16 }; /* columns; with them, the cells of a band fit the cache */

/* Takes over `n` columns, whose cells lie column by column. */
void grid_tile_put(struct grid_tile * tile, uint32_t first, uint32_t n, const double * values,
                   const uint32_t * dominant);

/* Puts cells that lie column by column into the order of rows. False: no memory. */
bool grid_tile_turn(struct grid_tile * tile);

#endif
