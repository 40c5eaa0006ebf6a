/* SPDX-License-Identifier: MIT */
#include "serve/tile.h"

#include <string.h>

struct header {
    char magic[4];
    uint32_t version, columns, rows;
    uint64_t x0, x1, y0, y1;
    uint32_t revision, flags;
    uint8_t room[8];
};
static_assert(sizeof(struct header) == 64 && sizeof(struct header) == TILE_HEADER, "as the page reads it");

struct answer answer_tile(const char * magic, struct grid_tile * tile, uint32_t revision) {
    const size_t cells = (size_t) tile->columns * tile->rows;
    const size_t bytes = sizeof(struct header) + cells * (sizeof *tile->values + sizeof *tile->dominant);
    struct header header = { .version = 1,
                             .columns = tile->columns,
                             .rows = tile->rows,
                             .x0 = tile->x0,
                             .x1 = tile->x1,
                             .y0 = tile->y0,
                             .y1 = tile->y1,
                             .revision = revision };
    void * body = tile->memory;
    memcpy(header.magic, magic, sizeof header.magic);
    memcpy(body, &header, sizeof header);
    *tile = (struct grid_tile){ 0 };
    return answer_binary(body, bytes);
}
