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
    *tile = (struct grid_tile){ x0, x1, y0, y1, (uint32_t) columns, (uint32_t) rows, NULL, NULL };
    tile->values = calloc(cells + 1, sizeof *tile->values);
    tile->dominant = malloc((cells + 1) * sizeof *tile->dominant);
    if (!tile->values || !tile->dominant) { return false; }
    memset(tile->dominant, 0xff, cells * sizeof *tile->dominant);
    return true;
}

void grid_tile_free(struct grid_tile * tile) {
    free(tile->values);
    free(tile->dominant);
    *tile = (struct grid_tile){ 0 };
}

void grid_tile_put(struct grid_tile * t, uint32_t first, uint32_t n, const double * values,
                   const uint32_t * dominant) {
    for (uint32_t row = 0; row < t->rows; row++) {
        const size_t at = (size_t) row * t->columns + first;
        for (uint32_t column = 0; column < n; column++) {
            t->values[at + column] = values[(size_t) column * t->rows + row];
            t->dominant[at + column] = dominant[(size_t) column * t->rows + row];
        }
    }
}

bool grid_tile_turn(struct grid_tile * t) {
    const size_t cells = (size_t) t->columns * t->rows;
    double * values = malloc((cells + 1) * sizeof *values);
    uint32_t * dominant = malloc((cells + 1) * sizeof *dominant);
    const bool good = values && dominant;
    struct grid_tile turned = *t;
    turned.values = values;
    turned.dominant = dominant;
    for (uint32_t c = 0; good && c < t->columns; c += TILE_BAND) {
        const uint32_t n = t->columns - c < TILE_BAND ? t->columns - c : TILE_BAND;
        grid_tile_put(&turned, c, n, t->values + (size_t) c * t->rows, t->dominant + (size_t) c * t->rows);
    }
    free(good ? t->values : values);
    free(good ? t->dominant : dominant);
    if (good) {
        t->values = values;
        t->dominant = dominant;
    }
    return good;
}
