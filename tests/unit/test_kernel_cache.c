/* SPDX-License-Identifier: MIT
 *
 * What a page cache reads of made-up strings of blocks.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "analysis/planning/kernel_cache.h"

enum { UNIT = 64 << 10, GRAPHS_MOST = 16 };

static struct cache_string string;
static struct references references;
static uint64_t by_graph[GRAPHS_MOST];

/* Files of so many blocks each, the next one begins behind a gap. */
static void make(const uint32_t * blocks, uint32_t n_files) {
    enum { GAP = 16 };
    uint64_t begin = 0;
    references = (struct references){ 0 };
    string = (struct cache_string){ .references = &references, .unit = UNIT };
    for (uint32_t f = 0; f < n_files; f++) {
        const struct file_span span = { begin * UNIT, (begin + blocks[f]) * UNIT };
        *(struct file_span *) list_add(&references.files, sizeof span) = span;
        for (uint32_t i = 0; i < blocks[f]; i++) {
            *(uint64_t *) list_add(&string.selected, sizeof(uint64_t)) = begin + i;
        }
        string.n_items += blocks[f];
        begin += blocks[f] + GAP;
    }
}

static void add_graph(uint32_t first, uint32_t end) {
    for (uint32_t i = first; i < end; i++) { *(uint32_t *) list_add(&string.items, sizeof i) = i; }
    *(struct string_graph *) list_add(&string.graphs, sizeof(struct string_graph)) =
        (struct string_graph){ string.items.count, true };
}

static void end(void) {
    free(references.files.data);
    free(string.selected.data);
    free(string.items.data);
    free(string.graphs.data);
}

/* Blocks that the last graph reads. */
static uint64_t run(uint64_t capacity, uint64_t window) {
    assert_true(kernel_cache_run(&string, capacity * UNIT, window * UNIT, by_graph));
    return by_graph[string.graphs.count - 1] / UNIT;
}

static void what_fits_is_read_once(void ** state) {
    (void) state;
    make((const uint32_t[]){ 100 }, 1);
    add_graph(0, 100);
    for (uint64_t window = 1; window < 64; window *= 2) {
        assert_int_equal(run(200, window), 100);
        assert_int_equal(run(2, 1), 100); /* in order, a page cache needs no room */
    }
    add_graph(0, 100);
    assert_int_equal(run(101, 16), 0);
    end();
}

/* Of a loop, it keeps something, as no list of what was used last does; but no more than there is room for. */
static void a_loop_is_read_again(void ** state) {
    (void) state;
    make((const uint32_t[]){ 100 }, 1);
    for (int i = 0; i < 8; i++) { add_graph(0, 100); }
    for (uint64_t capacity = 10; capacity < 100; capacity += 10) {
        assert_in_range(run(capacity, 1), 100 - capacity, 100);
    }
    end();
}

/* What was just used is kept longer than what is only read ahead. */
static void what_is_read_ahead_may_go_unused(void ** state) {
    (void) state;
    make((const uint32_t[]){ 400 }, 1);
    for (int i = 0; i < 4; i++) { add_graph(0, 400); }
    assert_true(run(40, 32) > 400);
    assert_true(run(40, 32) > run(200, 32));
    assert_true(run(40, 32) > run(40, 2));
    end();
}

static void a_window_ends_with_its_file(void ** state) {
    (void) state;
    make((const uint32_t[]){ 10, 20, 10 }, 3);
    add_graph(10, 11); /* the second file's first block */
    assert_int_equal(run(100, 64), 20);
    add_graph(29, 30);
    assert_int_equal(run(100, 64), 0);
    end();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_fits_is_read_once),
        cmocka_unit_test(a_loop_is_read_again),
        cmocka_unit_test(what_is_read_ahead_may_go_unused),
        cmocka_unit_test(a_window_ends_with_its_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
