/* SPDX-License-Identifier: MIT
 *
 * What is in memory when, and what that costs: pieces, placement and the arithmetic of a token's time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "plan/pieces.h"
#include "plan/placement.h"
#include "plan/predict.h"

#define MIB UINT64_C(1048576)

enum { ITEMS_MOST = 4096, PAGE = 4096 };

/* ---- pieces ---- */

static void pieces_are_whole_pages(void ** state) {
    const struct piece_tensor tensors[] = {
        { 100, 5000, 0 }, { 5100, 3 * MIB, 0 }, { 4 * MIB + 50, 8 * 10000, 8 }, { 5 * MIB, 7, 0 }
    };
    struct pieces p;
    (void) state;
    assert_true(pieces_cut(tensors, 4, PAGE, &p));
    uint32_t dense = 0, experts = 0;
    for (uint32_t i = 0; i < p.count; i++) {
        assert_true(p.piece[i].pages > 0);
        if (p.piece[i].tensor == PIECE_DENSE) {
            assert_true(p.piece[i].pages * (uint64_t) PAGE <= PIECE_MOST);
            dense++;
        } else {
            const uint64_t from = tensors[2].offset + 10000 * experts;
            assert_int_equal(p.piece[i].expert, experts++);
            assert_int_equal(p.piece[i].page, from / PAGE);
            assert_int_equal(p.piece[i].page + p.piece[i].pages, (from + 10000 + PAGE - 1) / PAGE);
        }
    }
    assert_int_equal(experts, 8);
    assert_int_equal(dense, 4 + 1); /* 3 MiB and a page are four pieces; the last tensor is one */
    assert_int_equal(pieces_first(&p, 0), 0);
    assert_int_equal(pieces_first(&p, UINT64_MAX - 1), p.count);
    pieces_free(&p);
}

/* Tensors of the same size end where pieces end, as the next one may be needed at another time. */
static void pieces_end_with_large_tensors(void ** state) {
    const struct piece_tensor tensors[] = { { 0, MIB / 2 + 100, 0 },
                                            { MIB / 2 + 100, MIB / 2, 0 },
                                            { MIB + 100, 50, 0 } };
    struct pieces p;
    (void) state;
    assert_true(pieces_cut(tensors, 3, PAGE, &p));
    assert_int_equal(p.count, 2); /* the last tensor is on a page of the second */
    assert_int_equal(p.piece[0].page + p.piece[0].pages, MIB / 2 / PAGE + 1);
    assert_int_equal(p.piece[1].page, MIB / 2 / PAGE);
    pieces_free(&p);
}

enum { TENSORS = 40, FILE_PAGES = 40000 };

/* Of any tensors: pieces are in order, no page is in three of them, and in two only if they are neighbours. */
static void no_page_is_in_three_pieces(void ** state) {
    static uint32_t last[FILE_PAGES];
    static uint8_t in[FILE_PAGES];
    (void) state;
    srand(2);
    for (int round = 0; round < 500; round++) {
        struct piece_tensor tensors[TENSORS];
        struct pieces p;
        uint64_t at = 0;
        memset(in, 0, sizeof in);
        for (int i = 0; i < TENSORS; i++) {
            const uint64_t size = (uint64_t) rand() % (rand() % 3 ? 20000 : 700000) + 1;
            const uint32_t experts = rand() % 3 ? 0 : 2 + (uint32_t) rand() % 3;
            at += rand() % 2 ? (uint64_t) rand() % 6000 : 0;
            tensors[i] = (struct piece_tensor){ at, size * (experts ? experts : 1), experts };
            at += tensors[i].bytes;
        }
        assert_true(pieces_cut(tensors, TENSORS, PAGE, &p));
        for (uint32_t i = 0; i < p.count; i++) {
            assert_true(!i || p.piece[i].page >= p.piece[i - 1].page);
            for (uint64_t page = p.piece[i].page; page < p.piece[i].page + p.piece[i].pages; page++) {
                assert_true(page < FILE_PAGES && ++in[page] <= 2);
                assert_true(in[page] == 1 || last[page] == i - 1);
                last[page] = i;
            }
        }
        for (int i = 0; i < TENSORS; i++) {
            for (uint64_t page = tensors[i].offset / PAGE; page * PAGE < tensors[i].offset + tensors[i].bytes; page++) {
                assert_true(in[page]);
            }
        }
        pieces_free(&p);
    }
}

static void pieces_of_nonsense_are_refused(void ** state) {
    static const struct piece_tensor bad[][2] = {
        { { 0, 0, 0 } },                     /* empty */
        { { UINT64_MAX - 5, 10, 0 } },       /* ends behind all numbers */
        { { 0, UINT64_MAX, 0 } },            /* too large */
        { { 0, 100, 0 }, { 50, 100, 0 } },   /* overlap */
        { { 5000, 100, 0 }, { 0, 100, 0 } }, /* out of order */
        { { 0, 100000, 7 } },                /* experts of different sizes */
    };
    struct pieces p;
    (void) state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(pieces_cut(bad[i], bad[i][1].bytes ? 2 : 1, PAGE, &p));
        assert_null(p.piece);
    }
}

/* ---- placement ---- */

struct given {
    struct placement_item item[ITEMS_MOST];
    uint8_t class[ITEMS_MOST];
    uint32_t n;
};

static void add(struct given * g, uint32_t count, uint64_t bytes, bool is_expert, bool together) {
    for (uint32_t i = 0; i < count; i++) {
        g->item[g->n++] = (struct placement_item){ bytes, is_expert, together && i };
    }
}

/* Whatever is asked: bytes are in one class each, and what takes memory is within the budget. */
static struct placement place(struct given * g, uint64_t budget, unsigned may) {
    uint64_t sum[PLACE_CACHE + 1] = { 0 };
    memset(g->class, 0xff, sizeof g->class);
    const struct placement p = placement_make(g->item, g->n, budget, may, g->class);
    for (uint32_t i = 0; i < g->n; i++) {
        assert_in_range(g->class[i], PLACE_LEAVE, PLACE_CACHE);
        assert_true(g->class[i] != PLACE_CACHE || g->item[i].is_expert);
        assert_true(g->class[i] != PLACE_STREAM || !g->item[i].is_expert);
        sum[g->class[i]] += g->item[i].bytes;
    }
    assert_int_equal(p.pinned, sum[PLACE_PIN]);
    assert_int_equal(p.streamed, sum[PLACE_STREAM]);
    assert_int_equal(p.cached, sum[PLACE_CACHE]);
    assert_int_equal(p.left, sum[PLACE_LEAVE]);
    assert_true(p.pinned + p.ring + p.cache <= budget);
    return p;
}

static void placements_keep_to_the_budget(void ** state) {
    static struct given g;
    (void) state;
    srand(1);
    for (int round = 0; round < 300; round++) {
        g.n = 0;
        for (int i = 0; i < 60; i++) {
            add(&g, 1 + (uint32_t) rand() % 8, PAGE * (1 + (uint64_t) rand() % 300), rand() % 3 == 0, rand() % 2);
        }
        for (unsigned may = 0; may < 8; may++) { place(&g, (uint64_t) rand() % (200 * MIB), may); }
    }
    place(&g, 0, 7);
    place(&g, UINT64_MAX / 4, 7);
    g.n = 0;
    place(&g, MIB, 7);
}

/* All but the ring is pinned, and what is not lies evenly in between. */
static void what_is_streamed_lies_evenly(void ** state) {
    static struct given g;
    (void) state;
    g.n = 0;
    add(&g, 200, MIB, false, false);
    const struct placement p = place(&g, 100 * MIB, PLACE_MAY_PIN | PLACE_MAY_STREAM);
    assert_in_range(p.ring, 4 * MIB, 100 * MIB / 4);
    assert_true(p.pinned + p.ring > 98 * MIB);
    uint32_t streamed = 0;
    for (uint32_t i = 0; i < g.n; i++) {
        streamed += g.class[i] == PLACE_STREAM;
        const double due = (i + 1.) * (double) p.streamed / (double) (200 * MIB);
        assert_true((double) streamed >= due - 2 && (double) streamed <= due + 2);
    }
}

/* An operation waits for all of a tensor. What of it is streamed must be in the ring at once: of the matrix behind the
 * layers, that was once far more. */
static void what_one_operation_streams_fits_in_the_ring(void ** state) {
    static struct given g;
    (void) state;
    g.n = 0;
    add(&g, 70, MIB, false, false);
    add(&g, 30, MIB, false, true);
    for (uint64_t budget = 32; budget < 100; budget++) {
        const struct placement p = place(&g, budget * MIB, PLACE_MAY_PIN | PLACE_MAY_STREAM);
        uint64_t streamed = 0;
        for (uint32_t i = 70; i < 100; i++) { streamed += g.class[i] == PLACE_STREAM ? MIB : 0; }
        assert_true(streamed <= p.ring + MIB); /* items are whole */
        assert_true(p.pinned + p.ring + 3 * MIB >= budget * MIB);
    }
}

static void experts_are_cached_beside_what_is_pinned(void ** state) {
    static struct given g;
    (void) state;
    g.n = 0;
    add(&g, 40, MIB, false, false);
    add(&g, 400, MIB, true, false);
    const struct placement p = place(&g, 150 * MIB, 7);
    assert_int_equal(p.pinned, 40 * MIB);
    assert_int_equal(p.cached, 400 * MIB);
    assert_int_equal(p.cache, 110 * MIB);
    const struct placement all = place(&g, 440 * MIB, 7);
    assert_int_equal(all.pinned, 440 * MIB);
}

/* ---- time ---- */

static bool near(double a, double b) {
    return a - b < 1e-6 && b - a < 1e-6;
}

static void a_tokens_time_is_what_it_reads_and_computes(void ** state) {
    const struct predict_costs costs = { 1e9, 5e8, 1e8, 10e6, 0.5, 2e8 };
    (void) state;
    const struct token_cost p = predict(&(struct predict_reads){ 20e6, 5e6, 1e6, 0 }, &costs);
    assert_true(p.known);
    assert_true(near(p.read_bytes, 26e6));
    assert_true(near(p.disk_ns, 20e6 + 10e6 + 10e6));
    assert_true(near(p.compute_ns, 10e6 + 12.5e6));
    assert_true(near(p.overlapped_ns, 10e6 + 30e6)); /* page faults wait; the rest takes longer than computing */
    assert_true(near(p.serial_ns, 40e6 + 22.5e6));
    const struct token_cost more = predict(&(struct predict_reads){ 20e6, 5e6, 1e6, 2e6 }, &costs);
    assert_true(near(more.read_bytes, 28e6) && near(more.overlapped_ns, p.overlapped_ns + 10e6));
    const struct token_cost nothing = predict(&(struct predict_reads){ 0 }, &(struct predict_costs){ .compute_ns = 7 });
    assert_true(nothing.known && near(nothing.overlapped_ns, 7) && near(nothing.serial_ns, 7));
}

static void what_is_not_known_is_not_predicted(void ** state) {
    (void) state;
    assert_false(predict(&(struct predict_reads){ .streamed = 1 }, &(struct predict_costs){ .compute_ns = 7 }).known);
    assert_false(predict(&(struct predict_reads){ 0 }, &(struct predict_costs){ .stream_rate = 1e9 }).known);
    assert_true(near(predict_per_second(0), 0) && near(predict_per_second(1e7), 100));
}

static void gates(void ** state) {
    (void) state;
    assert_int_equal(predict_gate(0, 100, 0, 0), GATE_UNSUPPORTED);
    assert_int_equal(predict_gate(100, 0, 0, 0), GATE_NO_ROOM);
    assert_int_equal(predict_gate(9 * MIB, 8 * MIB - 1, 9, 1), GATE_NO_ROOM);
    assert_int_equal(predict_gate(100, 100, 9, 1), GATE_FITS);
    assert_int_equal(predict_gate(9 * MIB, 8 * MIB, 0, 0), GATE_OPEN); /* nothing is known */
    assert_int_equal(predict_gate(9 * MIB, 8 * MIB, 104, 100), GATE_NO_GAIN);
    assert_int_equal(predict_gate(9 * MIB, 8 * MIB, 106, 100), GATE_OPEN);
    assert_string_equal(predict_gate_text(GATE_OPEN), "");
    assert_true(*predict_gate_text(GATE_NO_GAIN));
}

/* A tensor that begins on the last page of another's piece needs its own only. */
static void a_tensor_needs_no_more_pieces_than_hold_it(void ** state) {
    const struct piece_tensor tensors[] = { { 0, MIB + 100, 0 },
                                            { MIB + 100, MIB, 0 },
                                            { 2 * MIB + 100, 4 * 8192, 4 } };
    struct pieces p;
    uint32_t first;
    (void) state;
    assert_true(pieces_cut(tensors, 3, PAGE, &p));
    assert_int_equal(p.count, 2 + 2 + 4);
    assert_int_equal(pieces_dense(&p, 0, MIB + 100, &first), 2);
    assert_int_equal(first, 0);
    assert_int_equal(pieces_dense(&p, MIB + 100, MIB, &first), 2);
    assert_int_equal(first, 2);
    assert_int_equal(pieces_dense(&p, 0, 1, &first), 1);
    assert_int_equal(first, 0);
    assert_int_equal(pieces_dense(&p, 2 * MIB + PAGE, 10, &first), 0); /* experts */
    assert_int_equal(pieces_dense(&p, 9 * MIB, 10, &first), 0);
    pieces_free(&p);
}

static void scratch_is_two_stacks(void ** state) {
    (void) state;
    assert_int_equal(placement_scratch(100, 5, UINT64_MAX), 10);
    assert_int_equal(placement_scratch(100, 20, UINT64_MAX), 25);
    assert_int_equal(placement_scratch(100, UINT64_MAX, UINT64_MAX), 25);
    assert_int_equal(placement_scratch(100, 5, 3), 3);
    assert_int_equal(placement_scratch(0, 5, 5), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_whole_pages),
        cmocka_unit_test(pieces_end_with_large_tensors),
        cmocka_unit_test(no_page_is_in_three_pieces),
        cmocka_unit_test(pieces_of_nonsense_are_refused),
        cmocka_unit_test(placements_keep_to_the_budget),
        cmocka_unit_test(what_is_streamed_lies_evenly),
        cmocka_unit_test(what_one_operation_streams_fits_in_the_ring),
        cmocka_unit_test(experts_are_cached_beside_what_is_pinned),
        cmocka_unit_test(a_tokens_time_is_what_it_reads_and_computes),
        cmocka_unit_test(what_is_not_known_is_not_predicted),
        cmocka_unit_test(gates),
        cmocka_unit_test(a_tensor_needs_no_more_pieces_than_hold_it),
        cmocka_unit_test(scratch_is_two_stacks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
