/* SPDX-License-Identifier: MIT
 *
 * A model's file cut into pieces, each of which is read and dropped as one. A piece is an expert's slice of a stacked
 * tensor, a part of another tensor, or several small ones that lie side by side. `tat plan` and the manager cut alike.
 *
 * Pieces are whole pages. Each has all pages that its slice or tensors touch, so the page on their border is in both;
 * no page is in more than two pieces: what lies on one page only, between others, has no piece of its own. Slices too
 * small for that are cut as if they were not experts'.
 */
#ifndef TAT_PLAN_PIECES_H
#define TAT_PLAN_PIECES_H

#include <stdbool.h>
#include <stdint.h>

enum { PIECE_MOST = 1 << 20 }; /* bytes of a piece that is not an expert's */

#define PIECE_DENSE UINT32_MAX

/* A tensor that is needed as a whole, or of which a router chooses experts. */
struct piece_tensor {
    uint64_t offset, bytes; /* in the file */
    uint32_t experts;       /* stacked in it, of the same size; 0: it is not of experts */
};

struct piece {
    uint64_t page; /* of the file */
    uint32_t pages;
    uint32_t tensor; /* of an expert's slice: index; or PIECE_DENSE */
    uint32_t expert;
};

/* In the order of the file. */
struct pieces {
    struct piece * piece;
    uint32_t count;
    uint64_t page_bytes;
};

/* The tensors are in the order of their offsets and do not overlap. The caller frees with pieces_free. False: memory,
 * or the tensors are not as they have to be. */
bool pieces_cut(const struct piece_tensor * tensors, uint32_t count, uint64_t page_bytes, struct pieces * pieces);
void pieces_free(struct pieces * pieces);

/* The first piece that has a byte of the range, or the first behind it. */
uint32_t pieces_first(const struct pieces * pieces, uint64_t offset);

/* The pieces that hold a range of tensors that are not experts', or of which they are none: side by side, and no more
 * of them than it takes, as its first and last page may be in a neighbour's piece too. Returns how many; 0: an expert's
 * slice has the only page. */
uint32_t pieces_dense(const struct pieces * pieces, uint64_t offset, uint64_t bytes, uint32_t * first);

/* Whether the piece has a byte of the range. */
static inline bool piece_touches(const struct pieces * p, uint32_t piece, uint64_t offset, uint64_t bytes) {
    const struct piece * at = &p->piece[piece];
    return at->page * p->page_bytes < offset + bytes && offset < (at->page + at->pages) * p->page_bytes;
}

#endif
