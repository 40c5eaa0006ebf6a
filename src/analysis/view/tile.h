/* SPDX-License-Identifier: MIT
 *
 * A picture's cells.
 */
#ifndef TAT_ANALYSIS_VIEW_TILE_H
#define TAT_ANALYSIS_VIEW_TILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tat/error.h"

#define GRID_NO_TENSOR UINT32_MAX

enum { TILE_HEADER = 64 };

/* All cells stand for as many columns and rows of the data. In memory, they lie behind room for a header, values first,
 * as the server sends them. */
struct grid_tile {
    uint64_t x0, x1, y0, y1;
    uint32_t columns, rows;
    double * values;     /* [row][column] */
    uint32_t * dominant; /* [row][column]; GRID_NO_TENSOR: none */
    void * memory;       /* what is freed: begins with the room */
};

/* Makes room for cells, which bands fill. False: no memory. Free them in any case. */
bool grid_tile_begin(struct grid_tile * tile, uint64_t x0, uint64_t x1, uint64_t y0, uint64_t y1, uint64_t columns,
                     uint64_t rows);
void grid_tile_free(struct grid_tile * tile);

/* Says that there was no memory for one, or for what fills it. Returns -1. */
int grid_no_memory(struct tat_error * error);

/* Columns that are filled side by side. Their cells lie column by column, so that what is found together lies together.
 */
struct tile_band {
    struct grid_tile * tile;
    uint32_t first, columns, end; /* of the tile's columns, those up to `end` are filled */
    double *values, *most; /* [column][row]; `most` is the value of the dominant one */
    uint32_t * dominant;
};

enum { TILE_BAND = 16 }; /* columns of a band that fits the cache */

/* For the tile's columns [first, end), with nothing in the first ones. False: no memory. Free it in any case. Bands for
 * columns that are not the same may be filled by several threads. */
bool tile_band_begin(struct tile_band * band, struct grid_tile * tile, uint32_t columns, uint32_t first, uint32_t end);
void tile_band_free(struct tile_band * band);

/* Call it when a column is filled, of each from the first on: a band that is full goes into the tile. */
void tile_band_next(struct tile_band * band, uint32_t column);

/* Where a cell of the band is. */
static inline size_t tile_band_cell(const struct tile_band * band, uint32_t column, uint32_t row) {
    return (size_t) (column - band->first) * band->tile->rows + row;
}

/* Says that something has so much of a cell; who has most is dominant. */
static inline void tile_band_propose(struct tile_band * band, size_t cell, uint32_t what, double value) {
    if (value <= band->most[cell]) { return; }
    band->most[cell] = value;
    band->dominant[cell] = what;
}

#endif
