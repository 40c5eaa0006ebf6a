/* SPDX-License-Identifier: MIT */
#include "analysis/view/tile.h"

#include <stdlib.h>
#include <string.h>

#define CELLS_MOST ((uint64_t) 1 << 24)

bool grid_tile_begin(struct grid_tile * tile, uint64_t x0, uint64_t x1, uint64_t y0, uint64_t y1, uint64_t columns,
                     uint64_t rows) {
    *tile = (struct grid_tile){ 0 };
    if (rows && columns > CELLS_MOST / rows) { return false; }
    const size_t cells = (size_t) (columns * rows);
    char * memory = malloc(TILE_HEADER + cells * (sizeof *tile->values + sizeof *tile->dominant));
    if (!memory) { return false; }
    *tile = (struct grid_tile){ x0, x1, y0, y1, (uint32_t) columns, (uint32_t) rows, .memory = memory };
    tile->values = (double *) (memory + TILE_HEADER);
    tile->dominant = (uint32_t *) (tile->values + cells);
    return true;
}

void grid_tile_free(struct grid_tile * tile) {
    free(tile->memory);
    *tile = (struct grid_tile){ 0 };
}

int grid_no_memory(struct tat_error * error) {
    return tat_fail(error, TAT_ERROR_SYSTEM, "out of memory for a picture; ask for fewer cells");
}

/* ---- bands ---- */

static void clear(struct tile_band * b) {
    const size_t cells = (size_t) b->columns * b->tile->rows;
    memset(b->values, 0, cells * sizeof *b->values);
    memset(b->most, 0, cells * sizeof *b->most);
    memset(b->dominant, 0xff, cells * sizeof *b->dominant);
}

bool tile_band_begin(struct tile_band * b, struct grid_tile * tile, uint32_t columns, uint32_t first, uint32_t end) {
    const size_t cells = (size_t) columns * tile->rows;
    *b = (struct tile_band){ .tile = tile, .first = first, .columns = columns, .end = end };
    b->values = malloc((cells + 1) * sizeof *b->values);
    b->most = malloc((cells + 1) * sizeof *b->most);
    b->dominant = malloc((cells + 1) * sizeof *b->dominant);
    if (!b->values || !b->most || !b->dominant) { return false; }
    clear(b);
    return true;
}

void tile_band_free(struct tile_band * b) {
    free(b->values);
    free(b->most);
    free(b->dominant);
    *b = (struct tile_band){ 0 };
}

static void put(const struct tile_band * b, uint32_t columns) {
    const struct grid_tile * t = b->tile;
    for (uint32_t row = 0; row < t->rows; row++) {
        const size_t at = (size_t) row * t->columns + b->first;
        for (uint32_t column = 0; column < columns; column++) {
            const size_t cell = (size_t) column * t->rows + row;
            t->values[at + column] = b->values[cell];
            t->dominant[at + column] = b->dominant[cell];
        }
    }
}

void tile_band_next(struct tile_band * b, uint32_t column) {
    const bool is_full = column + 1 == b->first + b->columns;
    if (!is_full && column + 1 != b->end) { return; }
    put(b, column + 1 - b->first);
    b->first = column + 1;
    clear(b);
}
