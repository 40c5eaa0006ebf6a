/* SPDX-License-Identifier: MIT */
#include "plan/pieces.h"

#include <stdlib.h>

struct cutting {
    struct pieces * out;
    uint32_t capacity;
    uint64_t page_bytes;
    uint64_t dense_from, dense_to; /* a run that is not cut yet, in pages; empty: none */
    uint64_t after_experts; /* the page behind a slice whose last page is not all its own, and no run has begun since */
    bool shares_first;      /* the run's first page is also in the piece before */
};

/* From so many bytes on, a run ends with its tensor: what follows may be needed at another time. In the order of names,
 * layer 19 lies beside layer 2. */
enum { RUN_LEAST = 256 << 10 };

static bool add(struct cutting * c, struct piece piece) {
    struct pieces * p = c->out;
    if (p->count == c->capacity) {
        const uint32_t more = c->capacity ? c->capacity * 2 : 256;
        struct piece * bigger = realloc(p->piece, (size_t) more * sizeof *bigger);
        if (!bigger) { return false; }
        p->piece = bigger;
        c->capacity = more;
    }
    p->piece[p->count++] = piece;
    return true;
}

/* In parts of about the same size. */
static bool cut_dense(struct cutting * c) {
    const uint64_t most = PIECE_MOST / c->page_bytes ? PIECE_MOST / c->page_bytes : 1;
    uint64_t pages = c->dense_to - c->dense_from;
    if (pages == 1 && c->shares_first) { pages = 0; } /* the piece before has it all */
    c->shares_first = false;
    for (uint64_t parts = (pages + most - 1) / most; parts > 0; parts--) {
        const uint64_t now = (pages + parts - 1) / parts;
        if (!add(c, (struct piece){ c->dense_from, (uint32_t) now, PIECE_DENSE, 0 })) { return false; }
        c->dense_from += now;
        pages -= now;
    }
    c->dense_from = c->dense_to;
    return true;
}

static bool add_dense(struct cutting * c, uint64_t from, uint64_t to) {
    const uint64_t run = c->dense_to - c->dense_from;
    if (run && run * c->page_bytes < RUN_LEAST && from <= c->dense_to) {
        c->dense_to = to;
        return true;
    }
    const bool shares = from < (run ? c->dense_to : c->after_experts);
    if (!cut_dense(c)) { return false; }
    c->shares_first = shares;
    c->dense_from = from;
    c->dense_to = to;
    return true;
}

static bool add_experts(struct cutting * c, const struct piece_tensor * t, uint32_t tensor) {
    const uint64_t each = t->bytes / t->experts;
    if (!cut_dense(c)) { return false; }
    for (uint32_t e = 0; e < t->experts; e++) {
        const uint64_t from = (t->offset + e * each) / c->page_bytes;
        const uint64_t to = (t->offset + (e + 1) * each + c->page_bytes - 1) / c->page_bytes;
        if (!add(c, (struct piece){ from, (uint32_t) (to - from), tensor, e })) { return false; }
        c->dense_to = to;
    }
    /* What follows and begins on the last slice's last page has that page too. */
    c->after_experts = (t->offset + t->bytes) % c->page_bytes ? c->dense_to : 0;
    c->dense_from = c->dense_to;
    return true;
}

static bool is_good(const struct piece_tensor * tensors, uint32_t i) {
    const struct piece_tensor * t = &tensors[i];
    const uint64_t end = i ? tensors[i - 1].offset + tensors[i - 1].bytes : 0;
    return t->bytes > 0 && t->offset >= end && t->bytes <= INT64_MAX && t->offset <= INT64_MAX - t->bytes &&
           (!t->experts || (t->bytes % t->experts == 0 && t->bytes / t->experts <= INT32_MAX));
}

bool pieces_cut(const struct piece_tensor * tensors, uint32_t count, uint64_t page_bytes, struct pieces * pieces) {
    struct cutting c = { .out = pieces, .page_bytes = page_bytes };
    *pieces = (struct pieces){ .page_bytes = page_bytes };
    bool good = true;
    for (uint32_t i = 0; i < count && good; i++) {
        const struct piece_tensor * t = &tensors[i];
        good = is_good(tensors, i);
        if (!good) { break; }
        if (t->experts && t->bytes / t->experts >= 2 * page_bytes) {
            good = add_experts(&c, t, i);
        } else {
            good = add_dense(&c, t->offset / page_bytes, (t->offset + t->bytes + page_bytes - 1) / page_bytes);
        }
    }
    if (good && cut_dense(&c)) { return true; }
    pieces_free(pieces);
    return false;
}

void pieces_free(struct pieces * pieces) {
    free(pieces->piece);
    *pieces = (struct pieces){ 0 };
}

uint32_t pieces_first(const struct pieces * p, uint64_t offset) {
    uint32_t from = 0, to = p->count;
    const uint64_t page = offset / p->page_bytes;
    while (from < to) {
        const uint32_t middle = from + (to - from) / 2;
        if (p->piece[middle].page + p->piece[middle].pages <= page) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    return from;
}

static bool is_dense(const struct pieces * p, uint32_t i) {
    return i < p->count && p->piece[i].tensor == PIECE_DENSE;
}

uint32_t pieces_dense(const struct pieces * p, uint64_t offset, uint64_t bytes, uint32_t * first) {
    const uint64_t from = offset / p->page_bytes, last = (offset + bytes - 1) / p->page_bytes;
    uint32_t i = pieces_first(p, offset), n = 0;
    while (i < p->count && !is_dense(p, i) && p->piece[i].page <= from) { i++; }
    if (is_dense(p, i) && is_dense(p, i + 1) && p->piece[i + 1].page <= from) { i++; }
    *first = i;
    while (is_dense(p, i + n) && p->piece[i + n].page <= last) {
        n++;
        if (p->piece[i + n - 1].page + p->piece[i + n - 1].pages > last) { break; }
    }
    return n;
}
