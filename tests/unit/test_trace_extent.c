/* SPDX-License-Identifier: MIT
 *
 * Which bytes shapes and rows cover, against a map of bytes filled element by element.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "format/extent.h"

enum { MAP_BYTES = 1 << 16, MOST = 4096 };

static void mark(uint8_t * map, uint64_t at, uint64_t count) {
    assert_true(at + count <= MAP_BYTES);
    memset(map + at, 1, count);
}

static void mark_elements(uint8_t * map, const uint64_t * ne, const uint64_t * nb, uint32_t block, uint32_t bytes) {
    for (uint64_t i3 = 0; i3 < ne[3]; i3++) {
        for (uint64_t i2 = 0; i2 < ne[2]; i2++) {
            for (uint64_t i1 = 0; i1 < ne[1]; i1++) {
                for (uint64_t i0 = 0; i0 < ne[0]; i0 += block) {
                    mark(map, i0 / block * nb[0] + i1 * nb[1] + i2 * nb[2] + i3 * nb[3], bytes);
                }
            }
        }
    }
}

static void mark_pieces(uint8_t * map, const struct piece * pieces, size_t n) {
    for (size_t i = 0; i < n; i++) {
        for (uint64_t r = 0; r < pieces[i].count; r++) {
            mark(map, pieces[i].offset + r * pieces[i].stride, pieces[i].run_bytes);
        }
    }
}

static uint64_t marked(const uint8_t * map) {
    uint64_t n = 0;
    for (size_t i = 0; i < MAP_BYTES; i++) { n += map[i]; }
    return n;
}

/* Checks that they are the same bytes, each counted once, within the span. */
static void expect_extent(const uint64_t * ne, const uint64_t * nb, uint32_t block, uint32_t bytes) {
    static uint8_t expected[MAP_BYTES], covered[MAP_BYTES];
    static struct piece pieces[MOST];
    memset(expected, 0, sizeof expected);
    memset(covered, 0, sizeof covered);
    mark_elements(expected, ne, nb, block, bytes);
    const struct extent e = extent_of(ne, nb, block, bytes);
    const size_t n = extent_pieces(&e, 0, pieces, MOST);
    assert_true(n <= MOST);
    mark_pieces(covered, pieces, n);
    if (memcmp(expected, covered, sizeof expected) != 0 || extent_bytes(&e) != marked(expected)) {
        fail_msg("ne %d %d %d %d nb %d %d %d %d: %d bytes, expected %d", (int) ne[0], (int) ne[1], (int) ne[2],
                 (int) ne[3], (int) nb[0], (int) nb[1], (int) nb[2], (int) nb[3], (int) extent_bytes(&e),
                 (int) marked(expected));
    }
    uint64_t last = MAP_BYTES;
    while (last && !expected[last - 1]) { last--; }
    assert_int_equal(extent_span(&e), last);
}

static void test_shapes(void ** state) {
    (void) state;
    static const struct {
        uint64_t ne[4], nb[4];
        uint32_t block, bytes;
        size_t pieces;
        uint64_t runs, run_bytes;
    } shapes[] = {
        { { 8, 5, 3, 2 }, { 4, 32, 160, 480 }, 1, 4, 1, 1, 960 },     /* contiguous */
        { { 8, 3, 5, 2 }, { 4, 160, 32, 480 }, 1, 4, 1, 1, 960 },     /* permuted: still all of it */
        { { 5, 8, 1, 1 }, { 32, 4, 160, 160 }, 1, 4, 1, 1, 160 },     /* transposed */
        { { 8, 5, 1, 1 }, { 4, 64, 320, 320 }, 1, 4, 1, 5, 32 },      /* every other row */
        { { 8, 1, 5, 1 }, { 4, 999, 64, 320 }, 1, 4, 1, 5, 32 },      /* a stride that is never taken */
        { { 8, 5, 1, 1 }, { 4, 0, 0, 0 }, 1, 4, 1, 1, 32 },           /* broadcast: one row, five times */
        { { 8, 5, 1, 1 }, { 4, 16, 80, 80 }, 1, 4, 1, 1, 96 },        /* rows that overlap */
        { { 4, 3, 2, 1 }, { 4, 64, 256, 512 }, 1, 4, 2, 3, 16 },      /* two levels */
        { { 4, 3, 2, 1 }, { 4, 64, 192, 512 }, 1, 4, 1, 6, 16 },      /* two that are one */
        { { 64, 4, 1, 1 }, { 20, 40, 160, 160 }, 32, 20, 1, 1, 160 }, /* quantized blocks */
        { { 64, 4, 1, 1 }, { 20, 80, 320, 320 }, 32, 20, 1, 4, 40 },  /* every other pair of them */
        { { 1, 16, 4, 1 }, { 4, 256, 4, 4096 }, 1, 4, 1, 16, 16 },    /* one element of a row at a time */
        { { 3, 4, 2, 1 }, { 4, 32, 64, 512 }, 1, 4, 1, 6, 12 },       /* the second level coincides with the first */
    };
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        struct piece pieces[MOST];
        const struct extent e = extent_of(shapes[i].ne, shapes[i].nb, shapes[i].block, shapes[i].bytes);
        expect_extent(shapes[i].ne, shapes[i].nb, shapes[i].block, shapes[i].bytes);
        if (extent_pieces(&e, 0, pieces, MOST) != shapes[i].pieces || pieces[0].count != shapes[i].runs ||
            pieces[0].run_bytes != shapes[i].run_bytes) {
            fail_msg("shape %zu: not the pieces expected", i);
        }
    }
}

static void test_empty_shapes(void ** state) {
    (void) state;
    for (int d = 0; d < 4; d++) {
        uint64_t ne[4] = { 8, 5, 3, 2 };
        const uint64_t nb[4] = { 4, 32, 160, 480 };
        ne[d] = 0;
        const struct extent e = extent_of(ne, nb, 1, 4);
        struct piece piece;
        assert_int_equal(extent_bytes(&e), 0);
        assert_int_equal(extent_pieces(&e, 0, &piece, 1), 0);
    }
}

/* All dimensions in the order of their strides, each stride a multiple of the one before, as in ggml's views. */
static void test_random_views(void ** state) {
    (void) state;
    srandom(7);
    for (int round = 0; round < 20000; round++) {
        uint64_t stride[4], ne[4], nb[4], room = 4;
        uint64_t count[4];
        for (int i = 0; i < 4; i++) {
            count[i] = (uint64_t) random() % 5 + 1;
            stride[i] = random() % 8 == 0 ? 0 : room * ((uint64_t) random() % 2 + 1);
            if (stride[i]) { room = stride[i] * count[i]; }
        }
        for (int i = 0, left = 4; i < 4; i++, left--) { /* permuted */
            const int pick = (int) (random() % left);
            ne[i] = count[pick];
            nb[i] = stride[pick];
            count[pick] = count[left - 1];
            stride[pick] = stride[left - 1];
        }
        expect_extent(ne, nb, 1, 4);
    }
}

/* Levels that overlap each other by multiples of the inner stride, as sliding windows do. */
static void test_random_windows(void ** state) {
    (void) state;
    srandom(8);
    for (int round = 0; round < 20000; round++) {
        const uint64_t inner = 4 * ((uint64_t) random() % 4 + 1), outer = inner * ((uint64_t) random() % 6 + 1);
        const uint64_t ne[4] = { 1, (uint64_t) random() % 9 + 1, (uint64_t) random() % 9 + 1, 1 };
        const uint64_t nb[4] = { 4, inner, outer, 9999 };
        expect_extent(ne, nb, 1, 4);
    }
}

static void test_too_many_pieces(void ** state) {
    (void) state;
    static struct piece pieces[8];
    const uint64_t ne[4] = { 1, 2, 9, 1 }, nb[4] = { 4, 16, 1000, 9000 };
    const struct extent e = extent_of(ne, nb, 1, 4);
    assert_int_equal(extent_pieces(&e, 0, pieces, 8), 9);
    assert_int_equal(pieces[0].count, 0);
    assert_int_equal(extent_bytes(&e), 72);
    assert_int_equal(extent_span(&e), 8 * 1000 + 16 + 4);
}

static void expect_rows(const uint64_t * rows, size_t n, uint64_t stride, uint64_t bytes, size_t unique, size_t made) {
    static uint8_t expected[MAP_BYTES], covered[MAP_BYTES];
    static struct piece pieces[MOST];
    uint64_t offsets[64];
    size_t n_unique;
    memset(expected, 0, sizeof expected);
    memset(covered, 0, sizeof covered);
    for (size_t i = 0; i < n; i++) {
        offsets[i] = rows[i] * stride;
        mark(expected, offsets[i], bytes);
    }
    const size_t pieces_made = rows_pieces(offsets, n, bytes, pieces, MOST, &n_unique);
    mark_pieces(covered, pieces, pieces_made);
    assert_memory_equal(expected, covered, sizeof expected);
    assert_int_equal(n_unique, unique);
    if (made) { assert_int_equal(pieces_made, made); }
}

static void test_rows(void ** state) {
    (void) state;
    expect_rows((const uint64_t[]){ 4 }, 1, 64, 64, 1, 1);
    expect_rows((const uint64_t[]){ 4, 5, 6 }, 3, 64, 64, 3, 1);          /* neighbours are one run */
    expect_rows((const uint64_t[]){ 6, 4, 5, 4 }, 4, 64, 64, 3, 1);       /* in any order, twice */
    expect_rows((const uint64_t[]){ 1, 3, 5, 7 }, 4, 64, 64, 4, 1);       /* equal distances are one piece */
    expect_rows((const uint64_t[]){ 1, 3, 5, 6, 9 }, 5, 64, 64, 5, 0);    /* runs of two lengths */
    expect_rows((const uint64_t[]){ 0, 1, 4, 5, 8, 9 }, 6, 64, 64, 6, 1); /* pairs at a distance */
    expect_rows((const uint64_t[]){ 1, 3, 5, 7 }, 4, 64, 32, 4, 1);       /* rows shorter than their stride */
    srandom(9);
    for (int round = 0; round < 5000; round++) {
        uint64_t rows[64], seen = 0;
        const size_t n = (size_t) random() % 64 + 1;
        for (size_t i = 0; i < n; i++) {
            rows[i] = (uint64_t) random() % 64;
            seen |= UINT64_C(1) << rows[i];
        }
        expect_rows(rows, n, 64, 64, (size_t) __builtin_popcountll(seen), 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapes),          cmocka_unit_test(test_empty_shapes),
        cmocka_unit_test(test_random_views),    cmocka_unit_test(test_random_windows),
        cmocka_unit_test(test_too_many_pieces), cmocka_unit_test(test_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
