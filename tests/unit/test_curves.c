/* SPDX-License-Identifier: MIT
 *
 * What caches would have held of strings of references whose answers are known.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "analysis/caching/bound.h"
#include "analysis/caching/curves.h"
#include "analysis/caching/working_set.h"

enum { MOST = 64 };

static const enum tat_phase P = TAT_PHASE_PROMPT, G = TAT_PHASE_GENERATE;

/* Slices of these sizes, one behind the other unless said otherwise, and graphs that read them: "AB" reads two. */
struct given {
    struct tat_evaluation evaluations[MOST];
    struct subject subject;
    struct references r;
    uint64_t bytes[26], address[26];
    uint32_t ref[MOST * MOST];
    struct graph_mark mark[MOST + 1];
};

static void begin(struct given * g, const uint64_t * bytes, uint32_t n) {
    *g = (struct given){ .subject.evaluations = g->evaluations };
    g->r = (struct references){
        .subject = &g->subject, .bytes = g->bytes, .address = g->address, .refs.data = g->ref, .marks.data = g->mark
    };
    g->r.slices.count = n;
    for (uint32_t i = 0; i < n; i++) {
        g->bytes[i] = bytes[i];
        g->address[i] = g->r.space;
        g->r.space += bytes[i];
    }
}

static void graph(struct given * g, enum tat_phase phase, const char * slices) {
    const uint32_t m = g->r.marks.count++;
    g->evaluations[m] = (struct tat_evaluation){ .phase = phase, .n_tokens = 1 };
    g->mark[m].evaluation = m;
    for (; *slices; slices++) { g->ref[g->r.refs.count++] = (uint32_t) (*slices - 'A'); }
    g->mark[m + 1].first = g->r.refs.count;
}

static struct simulated by_policy(const struct given * g, const struct policy_kind * kind, uint64_t capacity) {
    struct simulation s;
    struct simulated found;
    assert_true(simulation_begin(&s, &g->r));
    assert_true(simulate(&s, kind, capacity, &found));
    simulation_end(&s);
    return found;
}

static struct simulated by_bound(const struct given * g, uint64_t capacity) {
    struct simulation s;
    struct bound b;
    assert_true(simulation_begin(&s, &g->r) && bound_begin(&b, &s));
    const struct simulated found = bound_find(&b, capacity);
    bound_end(&b);
    simulation_end(&s);
    return found;
}

/* Four slices in a loop, five times, the first of them a prompt. */
static void loop(struct given * g) {
    begin(g, (const uint64_t[]){ 100, 100, 100, 100 }, 4);
    graph(g, P, "ABCD");
    for (int i = 0; i < 4; i++) { graph(g, G, "ABCD"); }
}

static void test_policies_on_a_loop(void ** state) {
    (void) state;
    struct given g;
    loop(&g);
    for (size_t k = 0; policy_kinds[k]; k++) {
        assert_int_equal(by_policy(&g, policy_kinds[k], 400).again, 0);
        if (policy_kinds[k] != &policy_pin) { assert_int_equal(by_policy(&g, policy_kinds[k], 99).again, 1600); }
    }
    assert_int_equal(by_policy(&g, &policy_lru, 399).again, 1600);
    assert_int_equal(by_policy(&g, &policy_fifo, 399).again, 1600);
    assert_int_equal(by_policy(&g, &policy_frequency, 399).again, 400);
    assert_int_equal(by_policy(&g, &policy_pin, 99).again, 1204);
    assert_int_equal(by_policy(&g, &policy_pin, 399).again, 4);
    assert_int_equal(by_policy(&g, &policy_pin, 399).again_generated, 4);
    struct simulation s;
    assert_true(simulation_begin(&s, &g.r));
    assert_int_equal(s.reads.all, 2000);
    assert_int_equal(s.reads.first, 400);
    assert_int_equal(s.reads.generated_first, 0);
    assert_int_equal(s.reads.tokens, 4);
    assert_int_equal(s.reads.graphs, 5);
    simulation_end(&s);
}

/* A byte of memory saves a byte of each round. */
static void test_bound_on_a_loop(void ** state) {
    (void) state;
    struct given g;
    loop(&g);
    for (uint64_t capacity = 0; capacity <= 400; capacity += 50) {
        assert_int_equal(by_bound(&g, capacity).again, 4 * (400 - capacity));
        assert_int_equal(by_bound(&g, capacity).again_generated, 4 * (400 - capacity));
    }
    assert_int_equal(by_bound(&g, UINT64_MAX).again, 0);
}

/* For all reads A is worth keeping, which is needed sooner; for generated ones alone B. */
static void test_bound_of_generated_tokens(void ** state) {
    (void) state;
    struct given g;
    begin(&g, (const uint64_t[]){ 10, 10 }, 2);
    graph(&g, P, "AB");
    graph(&g, P, "A");
    graph(&g, G, "B");
    const struct simulated found = by_bound(&g, 10);
    assert_int_equal(found.again, 10);
    assert_int_equal(found.again_generated, 0);
}

/* Rows are read once at least; those of a weight that is read as a whole too are not counted twice. */
static void test_what_no_cache_avoids(void ** state) {
    (void) state;
    static struct extent_read extents[] = { { 0, 4, 4 }, { 0, 4, 4 }, { 12, 8, 8 }, { 20, 10, 4 } };
    struct given g;
    struct simulation s;
    struct bound b;
    begin(&g, (const uint64_t[]){ 10, 20 }, 2);
    g.r.extents.data = extents;
    graph(&g, G, "ACDEFA"); /* after the slices A and B come the extents */
    assert_true(simulation_begin(&s, &g.r) && bound_begin(&b, &s));
    assert_int_equal(s.rows, 20);
    assert_int_equal(s.reads.all, 40);
    assert_int_equal(b.first, 10 + 8);
    bound_end(&b);
    simulation_end(&s);
}

/* The least that whole slices of one size allow, by trying everything: what is held, as a set, -> slices read again. */
static unsigned least(const char * string, unsigned n, unsigned capacity) {
    unsigned best[1 << 5], after[1 << 5], seen = 0;
    for (unsigned set = 0; set < 1u << n; set++) { best[set] = set ? 1000 : 0; }
    for (; *string; string++) {
        const unsigned item = 1u << (*string - 'A');
        for (unsigned set = 0; set < 1u << n; set++) { after[set] = 1000; }
        for (unsigned set = 0; set < 1u << n; set++) {
            const unsigned cost = best[set] + (!(set & item) && seen & item);
            for (unsigned kept = 0; kept < 1u << n; kept++) {
                if (kept & ~(set | item) || (unsigned) __builtin_popcount(kept) > capacity) { continue; }
                after[kept] = cost < after[kept] ? cost : after[kept];
            }
        }
        seen |= item;
        memcpy(best, after, sizeof best);
    }
    unsigned found = 1000;
    for (unsigned set = 0; set < 1u << n; set++) { found = best[set] < found ? best[set] : found; }
    return found;
}

static void test_bound_is_the_least(void ** state) {
    (void) state;
    uint64_t seed = 1;
    for (int round = 0; round < 60; round++) {
        struct given g;
        char string[MOST] = "";
        begin(&g, (const uint64_t[]){ 7, 7, 7, 7, 7 }, 5);
        for (int i = 0; i < 30; i++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            string[i] = (char) ('A' + (seed >> 33) % 5);
        }
        graph(&g, G, string);
        for (unsigned capacity = 0; capacity <= 5; capacity++) {
            assert_int_equal(by_bound(&g, 7 * capacity).again, 7 * least(string, 5, capacity));
        }
        for (size_t k = 0; policy_kinds[k]; k++) {
            for (uint64_t capacity = 1; capacity < 40; capacity++) {
                assert_true(by_policy(&g, policy_kinds[k], capacity).again >= by_bound(&g, capacity).again);
            }
        }
    }
}

/* Of three graphs two in a row read 3, 6, 5 bytes each, all 7 in pairs; prompts do not count. */
static void test_working_set(void ** state) {
    (void) state;
    struct given g;
    struct working_set w;
    begin(&g, (const uint64_t[]){ 1, 2, 4, 100 }, 4);
    graph(&g, P, "ABCD");
    graph(&g, G, "ABA");
    graph(&g, P, "D");
    graph(&g, G, "BC");
    graph(&g, G, "AC");
    assert_true(working_set_find(&g.r, &w));
    assert_int_equal(w.graphs, 3);
    assert_int_equal(w.count, 2);
    assert_int_equal(w.window[1], 2);
    assert_true(w.bytes[0] > 14.0 / 3 - 1e-12 && w.bytes[0] < 14.0 / 3 + 1e-12);
    assert_true(w.bytes[1] == 7);
}

static void test_no_working_set(void ** state) {
    (void) state;
    struct given g;
    struct working_set w;
    begin(&g, (const uint64_t[]){ 1 }, 1);
    graph(&g, P, "A");
    assert_true(working_set_find(&g.r, &w));
    assert_int_equal(w.count, 0);
}

/* ---- blocks ---- */

/* A, B and C lie in the first block of 64 KiB, D in the first and the second: 0 0 0 0 1, twice. */
static void test_blocks_that_tensors_share(void ** state) {
    (void) state;
    struct given g;
    struct block_curves c;
    begin(&g, (const uint64_t[]){ 10000, 10000, 10000, 50000 }, 4);
    graph(&g, P, "ABCD");
    graph(&g, G, "ABCD");
    assert_true(block_curves_make(&c, &g.r));
    assert_int_equal(c.block_bytes, 65536);
    assert_int_equal(c.n_blocks, 2);
    assert_int_equal(c.block_reads, 10);
    assert_int_equal(c.wanted, 160000);
    assert_int_equal(c.tokens, 1);
    assert_int_equal(c.graphs, 2);
    const uint64_t again[] = { 8, 2, 0 }, generated[] = { 5, 2, 0 };
    for (int i = 0; i < 3; i++) {
        assert_int_equal(c.lru[i].blocks, again[i]);
        assert_int_equal(c.min[i].blocks, again[i]);
        assert_int_equal(c.lru[i].generated, generated[i]);
        assert_int_equal(c.min[i].generated, generated[i]);
    }
    block_curves_free(&c);
}

/* A loop over four blocks: LRU keeps nothing of it, MIN all but what passes through one block. */
static void test_blocks_of_a_loop(void ** state) {
    (void) state;
    struct given g;
    struct block_curves c;
    begin(&g, (const uint64_t[]){ 65536, 65536, 65536, 65536 }, 4);
    for (int i = 0; i < 4; i++) { graph(&g, G, "ABCD"); }
    assert_true(block_curves_make(&c, &g.r));
    const uint64_t lru[] = { 12, 12, 12, 12, 0 }, min[] = { 12, 12, 8, 4, 0 };
    for (int i = 0; i < 5; i++) {
        assert_int_equal(c.lru[i].blocks, lru[i]);
        assert_int_equal(c.min[i].blocks, min[i]);
    }
    block_curves_free(&c);
}

static void test_reads_that_are_nowhere(void ** state) {
    (void) state;
    struct given g;
    struct block_curves c;
    begin(&g, (const uint64_t[]){ 65536, 65536, 65536, 65536 }, 4);
    g.address[1] = 4 * 65536 - 1; /* past the end by all but a byte */
    g.address[2] = UINT64_MAX - 10;
    g.bytes[3] = UINT64_MAX;
    graph(&g, G, "ABCDA");
    assert_true(block_curves_make(&c, &g.r));
    assert_int_equal(c.unplaced, 3);
    assert_int_equal(c.n_blocks, 1);
    assert_int_equal(c.block_reads, 2);
    assert_int_equal(c.wanted, 2 * 65536);
    block_curves_free(&c);
}

/* 2^60 bytes: no blocks of bearable number. 2^43: what is read of it at once is too much, a part of it is not. */
static void test_absurd_sizes(void ** state) {
    (void) state;
    struct given g;
    struct block_curves c;
    begin(&g, (const uint64_t[]){ (uint64_t) 1 << 60 }, 1);
    graph(&g, G, "A");
    assert_true(block_curves_make(&c, &g.r));
    assert_int_equal(c.n_blocks, 0);
    block_curves_free(&c);
    begin(&g, (const uint64_t[]){ (uint64_t) 1 << 43, 100 }, 2);
    for (int i = 0; i < 50; i++) { graph(&g, G, "ABA"); }
    assert_true(block_curves_make(&c, &g.r));
    assert_int_equal(c.unplaced, 100);
    assert_int_equal(c.n_blocks, 1);
    assert_int_equal(c.graphs, 50);
    block_curves_free(&c);
}

/* A graph that reads 100,000 blocks over and over: MIN would take long. */
static void test_one_graph_of_absurd_length(void ** state) {
    (void) state;
    struct given g;
    struct block_curves c;
    char often[1001] = "";
    memset(often, 'A', 1000);
    begin(&g, (const uint64_t[]){ 100000 * ((uint64_t) 1 << 24) }, 1);
    graph(&g, G, often);
    graph(&g, G, "A");
    assert_true(block_curves_make(&c, &g.r));
    assert_int_equal(c.n_blocks, 100000);
    assert_true(c.unplaced > 900 && c.unplaced < 1000);
    assert_int_equal(c.block_reads, (1000 - c.unplaced) * 100000);
    assert_int_equal(c.graphs, 1);
    block_curves_free(&c);
}

/* ---- bounds ---- */

/* Graphs of so many reads of the one slice. */
static void make_long(struct given * g, uint32_t graphs, uint32_t reads) {
    begin(g, (const uint64_t[]){ 100 }, 1);
    g->r.refs.data = calloc((size_t) graphs * reads, sizeof(uint32_t));
    assert_non_null(g->r.refs.data);
    for (uint32_t m = 0; m < graphs; m++) {
        graph(g, G, "");
        g->r.refs.count += reads;
        g->mark[m + 1].first = g->r.refs.count;
    }
}

static void test_whole_graphs_only(void ** state) {
    (void) state;
    struct given g;
    struct simulation s;
    struct block_curves c;
    make_long(&g, 60, 200000);
    assert_true(simulation_begin(&s, &g.r) && block_curves_make(&c, &g.r));
    assert_int_equal(s.reads.graphs, 3); /* passing 2^19 reads */
    assert_int_equal(s.reads.all, 3 * 200000 * 100);
    assert_int_equal(s.reads.tokens, 3);
    assert_int_equal(c.graphs, 42); /* passing 2^23 */
    assert_int_equal(c.block_reads, 42 * 200000);
    assert_int_equal(c.tokens, 42);
    block_curves_free(&c);
    simulation_end(&s);
    free(g.r.refs.data);
}

static void test_one_graph_too_large_to_simulate(void ** state) {
    (void) state;
    struct given g;
    struct simulation s;
    struct bound b;
    struct simulated found;
    make_long(&g, 2, 1100000);
    assert_true(simulation_begin(&s, &g.r) && bound_begin(&b, &s));
    assert_int_equal(s.reads.graphs, 0);
    assert_int_equal(s.reads.all, 0);
    for (size_t k = 0; policy_kinds[k]; k++) {
        assert_true(simulate(&s, policy_kinds[k], 100, &found));
        assert_int_equal(found.again, 0);
    }
    assert_int_equal(bound_find(&b, 100).again, 0);
    bound_end(&b);
    simulation_end(&s);
    free(g.r.refs.data);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_policies_on_a_loop),
        cmocka_unit_test(test_bound_on_a_loop),
        cmocka_unit_test(test_bound_of_generated_tokens),
        cmocka_unit_test(test_what_no_cache_avoids),
        cmocka_unit_test(test_bound_is_the_least),
        cmocka_unit_test(test_working_set),
        cmocka_unit_test(test_no_working_set),
        cmocka_unit_test(test_blocks_that_tensors_share),
        cmocka_unit_test(test_blocks_of_a_loop),
        cmocka_unit_test(test_reads_that_are_nowhere),
        cmocka_unit_test(test_absurd_sizes),
        cmocka_unit_test(test_one_graph_of_absurd_length),
        cmocka_unit_test(test_whole_graphs_only),
        cmocka_unit_test(test_one_graph_too_large_to_simulate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
