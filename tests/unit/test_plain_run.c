/* SPDX-License-Identifier: MIT
 *
 * What made-up graphs would take with plain mmap, and when managing them is found to be slower.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "manage/plain_run.h"

enum { PIECES = 10, MIB = 1 << 20, MS = 1000000 };

static struct plain_run * of_pieces(uint64_t capacity, uint64_t read_ahead) {
    uint64_t bytes[PIECES];
    for (int i = 0; i < PIECES; i++) { bytes[i] = MIB; }
    struct plain_run * plain = plain_run_new(bytes, PIECES, read_ahead, capacity);
    assert_non_null(plain);
    return plain;
}

static struct plain_run * of_equal_pieces(uint64_t capacity) {
    return of_pieces(capacity, 0);
}

static void touch(struct plain_run * plain, uint32_t from, uint32_t end) {
    for (uint32_t i = from; i < end; i++) { plain_run_touch(plain, i); }
}

/* As many tokens as it takes to tell, each of which reads all. Returns whether it was found to be slower at the last.
 */
static bool round_and_round(struct plain_run * plain, const struct plain_run_graph * graph, uint64_t known_ns) {
    for (int i = 0; i < PLAIN_RUN_TOKENS; i++) {
        touch(plain, 0, PIECES);
        const bool is_faster = plain_run_is_faster(plain, graph, known_ns);
        if (i == PLAIN_RUN_TOKENS - 1) { return is_faster; }
        assert_false(is_faster);
    }
    return false;
}

/* All fits, so plain mmap only computes. */
static void waiting_where_all_fits_is_slower(void ** state) {
    (void) state;
    const struct plain_run_graph waits = { true, 21 * MS, 2 * MS, MIB, 2 * MS };
    struct plain_run * plain = of_equal_pieces(PIECES * MIB);
    assert_true(round_and_round(plain, &waits, 0));
    assert_int_equal(plain_run_times(plain).managed_ns, 21 * MS);
    assert_int_equal(plain_run_times(plain).plain_ns, 19 * MS);
    plain_run_free(plain);
    const struct plain_run_graph hardly_waits = { true, 21 * MS, 1 * MS, MIB, 1 * MS };
    plain = of_equal_pieces(PIECES * MIB);
    assert_false(round_and_round(plain, &hardly_waits, 0)); /* within 5 % */
    plain_run_free(plain);
}

/* One piece too many goes round, so plain mmap reads them all, 10 MiB in 100 ms, where managing reads two. */
static void what_goes_round_is_read_whole(void ** state) {
    (void) state;
    const struct plain_run_graph graph = { true, 40 * MS, 20 * MS, 2 * MIB, 20 * MS };
    struct plain_run * plain = of_equal_pieces((PIECES - 1) * MIB);
    assert_false(round_and_round(plain, &graph, 0));
    assert_int_equal(plain_run_times(plain).plain_ns, 120 * MS);
    plain_run_free(plain);
}

/* Two pieces are used in turn, and three fit. Each that is not there comes with its neighbours, which push out the
 * other: 4 MiB are read where 1 is missing. */
static void the_kernel_reads_around_what_is_missing(void ** state) {
    (void) state;
    const struct plain_run_graph graph = { true, 20 * MS, 10 * MS, MIB, 10 * MS };
    struct plain_run * plain = of_pieces(3 * MIB, 4 * MIB);
    for (int i = 0; i < PLAIN_RUN_TOKENS; i++) {
        plain_run_touch(plain, i % 2 ? 2 : 7);
        assert_false(plain_run_is_faster(plain, &graph, 0));
    }
    /* The last of the file is there at first, and stays until 2 is read. */
    assert_int_equal(plain_run_times(plain).plain_ns, 10 * MS + (PLAIN_RUN_TOKENS - 1) * 40 * MS / PLAIN_RUN_TOKENS);
    plain_run_free(plain);
}

/* Where not all fits, the kernel reads several times what is reckoned. */
static void slower_by_half_where_not_all_fits(void ** state) {
    (void) state;
    static const struct {
        struct plain_run_graph graph;
        uint64_t known_ns;
        bool is_slower;
    } cases[] = {
        { { true, 181 * MS, 161 * MS, 20 * MIB, 200 * MS }, 0, true },
        { { true, 179 * MS, 159 * MS, 20 * MIB, 200 * MS }, 0, false },
        { { true, 179 * MS, 159 * MS, 20 * MIB, 200 * MS }, 100 * MS, true }, /* somebody knows better */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct plain_run * plain = of_equal_pieces((PIECES - 1) * MIB);
        assert_int_equal(round_and_round(plain, &cases[i].graph, cases[i].known_ns), cases[i].is_slower);
        assert_int_equal(plain_run_times(plain).plain_ns, cases[i].known_ns ? cases[i].known_ns : 120 * MS);
        plain_run_free(plain);
    }
}

/* A prompt fills the page cache and is not compared. */
static void only_tokens_are_compared(void ** state) {
    (void) state;
    const struct plain_run_graph prompt = { false, 1000 * MS, 900 * MS, PIECES * MIB, 900 * MS };
    const struct plain_run_graph token = { true, 20 * MS, 12 * MS, MIB, 12 * MS };
    struct plain_run * plain = of_equal_pieces(5 * MIB);
    for (int i = 0; i < 2 * PLAIN_RUN_TOKENS; i++) {
        touch(plain, 0, PIECES);
        assert_false(plain_run_is_faster(plain, &prompt, 0));
        touch(plain, PIECES - 3, PIECES); /* what the prompt read last */
        assert_int_equal(plain_run_is_faster(plain, &token, 0), i >= PLAIN_RUN_TOKENS - 1);
    }
    assert_int_equal(plain_run_times(plain).plain_ns, 8 * MS);
    plain_run_free(plain);
}

/* At first there is the end of the file. With more memory, all comes to be there; with less, nothing. */
static void the_page_cache_has_what_memory_is_left(void ** state) {
    (void) state;
    const struct plain_run_graph token = { true, 20 * MS, 10 * MS, MIB, 10 * MS };
    struct plain_run * plain = of_equal_pieces(4 * MIB);
    for (int i = 0; i < PLAIN_RUN_TOKENS; i++) {
        touch(plain, PIECES - 4, PIECES);
        assert_int_equal(plain_run_is_faster(plain, &token, 0), i == PLAIN_RUN_TOKENS - 1);
    }
    plain_run_resize(plain, PIECES * MIB);
    for (int i = 0; i < 2 * PLAIN_RUN_TOKENS; i++) {
        touch(plain, 0, PIECES);
        plain_run_is_faster(plain, &token, 0);
    }
    assert_int_equal(plain_run_times(plain).plain_ns, 10 * MS);
    plain_run_resize(plain, 0);
    for (int i = 0; i <= PLAIN_RUN_TOKENS; i++) {
        touch(plain, 0, PIECES);
        assert_int_equal(plain_run_is_faster(plain, &token, 0), i < 2);
    }
    assert_int_equal(plain_run_times(plain).plain_ns, 110 * MS);
    plain_run_free(plain);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waiting_where_all_fits_is_slower),
        cmocka_unit_test(what_goes_round_is_read_whole),
        cmocka_unit_test(the_kernel_reads_around_what_is_missing),
        cmocka_unit_test(slower_by_half_where_not_all_fits),
        cmocka_unit_test(only_tokens_are_compared),
        cmocka_unit_test(the_page_cache_has_what_memory_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
