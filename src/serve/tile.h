/* SPDX-License-Identifier: MIT
 *
 * Tiles as they go to the page: doc/view.md describes the bytes.
 */
#ifndef TAT_SERVE_TILE_H
#define TAT_SERVE_TILE_H

#include "analysis/view/grid.h"
#include "serve/answer.h"

/* `magic`: four characters. Takes the tile over. */
struct answer answer_tile(const char * magic, struct grid_tile * tile, uint32_t revision);

#endif
