/* SPDX-License-Identifier: MIT */
#include "format/extent.h"

#include <stdbool.h>
#include <stdlib.h>

struct dimension {
    uint64_t count, stride;
};

static void sort_by_stride(struct dimension * d, unsigned n) {
    for (unsigned i = 1; i < n; i++) {
        for (unsigned j = i; j > 0 && d[j].stride < d[j - 1].stride; j--) {
            const struct dimension swap = d[j];
            d[j] = d[j - 1];
            d[j - 1] = swap;
        }
    }
}

/* Adds a dimension outside all others so far: it lengthens the run, continues the last level, or makes a new one. */
static void add_dimension(struct extent * e, struct dimension d) {
    if (e->n_levels == 0 && d.stride <= e->run_bytes) {
        e->run_bytes = (d.count - 1) * d.stride + e->run_bytes;
        return;
    }
    if (e->n_levels) {
        /* The level repeats at or before its own end, so its runs go on, and runs that coincide count once. */
        const unsigned last = e->n_levels - 1;
        const uint64_t stride = e->level[last].stride, count = e->level[last].count;
        if (d.stride % stride == 0 && d.stride / stride <= count) {
            e->level[last].count = (d.count - 1) * (d.stride / stride) + count;
            return;
        }
    }
    e->level[e->n_levels].count = d.count;
    e->level[e->n_levels].stride = d.stride;
    e->n_levels++;
}

struct extent extent_of(const uint64_t * ne, const uint64_t * nb, uint32_t block, uint32_t block_bytes) {
    struct extent e = { .run_bytes = block_bytes };
    struct dimension d[4];
    unsigned n = 0;
    for (int i = 0; i < 4; i++) {
        const uint64_t count = i == 0 ? ne[0] / block + (ne[0] % block != 0) : ne[i];
        if (count == 0) { return (struct extent){ 0 }; }
        if (count > 1 && nb[i] != 0) { d[n++] = (struct dimension){ count, nb[i] }; }
    }
    sort_by_stride(d, n);
    for (unsigned i = 0; i < n; i++) { add_dimension(&e, d[i]); }
    return e;
}

uint64_t extent_bytes(const struct extent * e) {
    uint64_t bytes = e->run_bytes;
    for (unsigned i = 0; i < e->n_levels; i++) { bytes *= e->level[i].count; }
    return bytes;
}

uint64_t extent_span(const struct extent * e) {
    uint64_t span = e->run_bytes;
    for (unsigned i = 0; i < e->n_levels; i++) { span += (e->level[i].count - 1) * e->level[i].stride; }
    return span;
}

size_t extent_count(const struct extent * e, size_t most) {
    if (e->run_bytes == 0) { return 0; }
    uint64_t outer = 1;
    for (unsigned i = 1; i < e->n_levels; i++) {
        outer *= e->level[i].count;
        if (outer > most) { return most + 1; }
    }
    return (size_t) outer;
}

size_t extent_pieces(const struct extent * e, uint64_t offset, struct piece * pieces, size_t most) {
    const size_t outer = extent_count(e, most);
    if (outer > most) { return outer; }
    for (uint64_t i = 0; i < outer; i++) {
        uint64_t at = offset, rest = i;
        for (unsigned l = 1; l < e->n_levels; l++) {
            at += rest % e->level[l].count * e->level[l].stride;
            rest /= e->level[l].count;
        }
        pieces[i] = e->n_levels ? (struct piece){ at, e->run_bytes, e->level[0].stride, e->level[0].count }
                                : (struct piece){ at, e->run_bytes, 0, 1 };
    }
    return outer;
}

static int ascending(const void * a, const void * b) {
    const uint64_t x = *(const uint64_t *) a, y = *(const uint64_t *) b;
    return (x > y) - (x < y);
}

/* Takes one more run into the last piece if its length and distance are those of that piece's runs. */
static bool extend_piece(struct piece * last, uint64_t offset, uint64_t run_bytes) {
    if (last->run_bytes != run_bytes) { return false; }
    const uint64_t distance = offset - (last->offset + (last->count - 1) * last->stride);
    if (last->count > 1 && distance != last->stride) { return false; }
    last->stride = distance;
    last->count++;
    return true;
}

size_t rows_pieces(uint64_t * offsets, size_t count, uint64_t row_bytes, struct piece * pieces, size_t most,
                   size_t * n_unique) {
    size_t n = 0;
    *n_unique = 0;
    size_t sorted = 1;
    while (sorted < count && offsets[sorted - 1] <= offsets[sorted]) { sorted++; }
    if (sorted < count) { qsort(offsets, count, sizeof offsets[0], ascending); }
    for (size_t i = 0; i < count;) {
        const uint64_t from = offsets[i];
        uint64_t to = from + row_bytes;
        ++*n_unique;
        for (i++; i < count && offsets[i] <= to; i++) {
            if (offsets[i] != offsets[i - 1]) { ++*n_unique; }
            to = offsets[i] + row_bytes;
        }
        if (n > 0 && n <= most && extend_piece(&pieces[n - 1], from, to - from)) { continue; }
        if (n < most) { pieces[n] = (struct piece){ from, to - from, 0, 1 }; }
        if (n <= most) { n++; }
    }
    return n;
}
