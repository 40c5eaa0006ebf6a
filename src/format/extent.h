/* SPDX-License-Identifier: MIT
 *
 * Which bytes a shape with strides covers, as runs of bytes at a regular distance.
 */
#ifndef TAT_FORMAT_EXTENT_H
#define TAT_FORMAT_EXTENT_H

#include <stddef.h>
#include <stdint.h>

/* level[0] is the innermost: `count` runs, each `stride` bytes after the one before. */
struct extent {
    uint64_t run_bytes;
    unsigned n_levels;
    struct {
        uint64_t count, stride;
    } level[4];
};

/* The union of a tensor's elements. Elements at the same place count once. Empty shapes have 0 run_bytes. */
struct extent extent_of(const uint64_t * ne, const uint64_t * nb, uint32_t block, uint32_t block_bytes);

uint64_t extent_bytes(const struct extent * e); /* covered */
uint64_t extent_span(const struct extent * e);  /* from the first byte to the last */

/* One run, or a set of runs at one stride: what an access record holds. */
struct piece {
    uint64_t offset, run_bytes, stride, count;
};

/* How many pieces cover the extent; most + 1 if there are more. */
size_t extent_count(const struct extent * e, size_t most);

/* Writes at most `most` pieces that cover the extent beginning at `offset`. Returns how many there are. If that is more
 * than `most`, none are written, and the caller takes the bounds. */
size_t extent_pieces(const struct extent * e, uint64_t offset, struct piece * pieces, size_t most);

/* The same for rows of `row_bytes` at the given offsets, which are sorted here. Equal offsets count once, neighbours
 * merge, and equal distances become one piece. *n_unique: the number of different rows. */
size_t rows_pieces(uint64_t * offsets, size_t count, uint64_t row_bytes, struct piece * pieces, size_t most,
                   size_t * n_unique);

#endif
