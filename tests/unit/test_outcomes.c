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
#include "analysis/caching/outcomes.h"
#include "analysis/caching/working_set.h"
#include "small_model.h"

enum { MOST = 64 };

static const enum tat_phase P = TAT_PHASE_PROMPT, G = TAT_PHASE_GENERATE;

/* Slices of these sizes, one behind the other unless said otherwise, and graphs that read them: "AB" reads two. */
struct given {
    struct tat_evaluation evaluations[MOST];
    struct subject subject;
    struct references r;
    struct tat_tensor tensors[26];
    uint64_t bytes[26], address[26];
    uint32_t first[27], tensor[26]; /* each is a tensor */
    uint32_t ref[MOST * MOST];
    struct graph_mark mark[MOST + 1];
};

static void begin(struct given * g, const uint64_t * bytes, uint32_t n) {
    *g = (struct given){ .subject.evaluations = g->evaluations };
    g->r = (struct references){
        .subject = &g->subject, .bytes = g->bytes, .address = g->address, .refs.data = g->ref, .marks.data = g->mark
    };
    g->subject.tensors = g->tensors;
    g->subject.n_tensors = n;
    g->r.slices = (struct slices){ .first = g->first, .tensor = g->tensor, .count = n };
    for (uint32_t i = 0; i < n; i++) {
        g->tensor[i] = i;
        g->first[i + 1] = i + 1;
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

static struct cache_string string_of(const struct given * g, uint64_t unit) {
    struct cache_string s;
    assert_true(cache_string_make(&s, &g->r, &(struct string_request){ unit, SIMULATED_MAX, true, 0 }));
    return s;
}

static struct again by_policy(const struct given * g, const struct policy_kind * kind, uint64_t capacity) {
    struct cache_string s = string_of(g, TAT_CACHE_SLICE);
    struct again found;
    assert_true(simulate(&s, kind, capacity, &found));
    cache_string_free(&s);
    return found;
}

static struct again by_bound(const struct given * g, uint64_t unit, uint64_t capacity) {
    struct cache_string s = string_of(g, unit);
    struct bound b;
    assert_true(bound_begin(&b, &s));
    const struct again found = bound_find(&b, capacity);
    bound_end(&b);
    cache_string_free(&s);
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
        assert_int_equal(by_policy(&g, policy_kinds[k], 400).all, 0);
        assert_true(by_policy(&g, policy_kinds[k], 99).all >= 1600 - 4 * 99); /* parts, where a policy keeps them */
    }
    assert_int_equal(by_policy(&g, &policy_lru, 399).all, 1600);
    assert_int_equal(by_policy(&g, &policy_fifo, 399).all, 1600);
    assert_int_equal(by_policy(&g, &policy_frequency, 399).all, 400);
    assert_int_equal(by_policy(&g, &policy_pin, 399).all, 4);
    assert_int_equal(by_policy(&g, &policy_pin, 399).generated, 4);
    struct cache_string s = string_of(&g, TAT_CACHE_SLICE);
    assert_int_equal(sum(s.wanted), 2000);
    assert_int_equal(s.first.prompt, 400);
    assert_int_equal(s.first.generated, 0);
    assert_int_equal(sum(s.repeat), 1600);
    assert_int_equal(s.tokens, 4);
    assert_int_equal(s.graphs.count, 5);
    cache_string_free(&s);
}

/* A byte of memory saves a byte of each round. */
static void test_bound_on_a_loop(void ** state) {
    (void) state;
    struct given g;
    loop(&g);
    for (uint64_t capacity = 0; capacity <= 400; capacity += 50) {
        assert_int_equal(by_bound(&g, TAT_CACHE_SLICE, capacity).all, 4 * (400 - capacity));
        assert_int_equal(by_bound(&g, TAT_CACHE_SLICE, capacity).generated, 4 * (400 - capacity));
    }
    assert_int_equal(by_bound(&g, TAT_CACHE_SLICE, UINT64_MAX).all, 0);
}

/* For all reads A is worth keeping, which is needed sooner; for generated ones alone B. */
static void test_bound_of_generated_tokens(void ** state) {
    (void) state;
    struct given g;
    begin(&g, (const uint64_t[]){ 10, 10 }, 2);
    graph(&g, P, "AB");
    graph(&g, P, "A");
    graph(&g, G, "B");
    const struct again found = by_bound(&g, TAT_CACHE_SLICE, 10);
    assert_int_equal(found.all, 10);
    assert_int_equal(found.generated, 0);
}

/* Rows are always read, and are no items; the string tells them apart by phase. */
static void test_rows(void ** state) {
    (void) state;
    static struct extent_read extents[] = { { .address = 0, .run = 4, .rows = 1 },
                                            { .address = 12, .run = 2, .stride = 3, .rows = 4 } };
    struct given g;
    begin(&g, (const uint64_t[]){ 10, 20 }, 2);
    g.r.extents.data = extents;
    graph(&g, P, "AC"); /* after the slices A and B come the extents */
    graph(&g, G, "DCA");
    struct cache_string s = string_of(&g, TAT_CACHE_SLICE);
    assert_int_equal(s.items.count, 2);
    assert_int_equal(s.rows.prompt, 4);
    assert_int_equal(s.rows.generated, 8 + 4);
    assert_int_equal(sum(s.wanted), 10 + 4 + 8 + 4 + 10);
    cache_string_free(&s);
}

/* The least that whole slices of one size allow, by trying everything: what is held, as a set, -> slices read again, in
 * the graphs that count. */
static unsigned least(const struct given * g, unsigned n, unsigned capacity, bool generated_only) {
    unsigned best[1 << 5], after[1 << 5], seen = 0, m = 0;
    for (unsigned set = 0; set < 1u << n; set++) { best[set] = set ? 1000 : 0; }
    for (unsigned i = 0; i < g->r.refs.count; i++) {
        while (g->mark[m + 1].first <= i) { m++; }
        const bool counts = !generated_only || g->evaluations[m].phase == G;
        const unsigned item = 1u << g->ref[i];
        for (unsigned set = 0; set < 1u << n; set++) { after[set] = 1000; }
        for (unsigned set = 0; set < 1u << n; set++) {
            const unsigned cost = best[set] + (counts && !(set & item) && seen & item);
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
        begin(&g, (const uint64_t[]){ 7, 7, 7, 7, 7 }, 5);
        for (int part = 0; part < 6; part++) { /* generation; a prompt before it; now and then one more in between */
            char string[MOST] = "";
            for (int i = 0; i < 5; i++) {
                seed = seed * 6364136223846793005u + 1442695040888963407u;
                string[i] = (char) ('A' + (seed >> 33) % 5);
            }
            graph(&g, round % 3 > 0 && (part < 2 || (part == 3 && round % 3 == 2)) ? P : G, string);
        }
        for (unsigned capacity = 0; capacity <= 5; capacity++) {
            const struct again found = by_bound(&g, TAT_CACHE_SLICE, 7 * capacity);
            assert_int_equal(found.all, 7 * least(&g, 5, capacity, false));
            assert_int_equal(found.generated, 7 * least(&g, 5, capacity, true));
        }
        for (size_t k = 0; policy_kinds[k]; k++) {
            for (uint64_t capacity = 1; capacity < 40; capacity++) {
                assert_true(by_policy(&g, policy_kinds[k], capacity).all >=
                            by_bound(&g, TAT_CACHE_SLICE, capacity).all);
            }
        }
    }
}

static void expect_near(double found, double expected) {
    if (!(found > expected - 1e-12 && found < expected + 1e-12)) { fail_msg("%g, not %g", found, expected); }
}

/* Of five graphs alone, two and four in a row; prompts do not count. */
static void test_working_set(void ** state) {
    (void) state;
    struct given g;
    struct working_set w;
    begin(&g, (const uint64_t[]){ 1, 2, 4, 100 }, 4);
    graph(&g, P, "ABCD");
    graph(&g, G, "ABA"); /* 3 */
    graph(&g, P, "D");
    graph(&g, G, "BC"); /* 6 */
    graph(&g, G, "AC"); /* 5 */
    graph(&g, G, "C");
    graph(&g, G, "B");
    assert_true(working_set_find(&g.r, &w));
    assert_int_equal(w.graphs, 5);
    assert_int_equal(w.count, 3);
    const struct window *one = &w.window[0], *two = &w.window[1], *four = &w.window[2];
    expect_near(one->mean, (3 + 6 + 5 + 4 + 2) / 5.0);
    expect_near(two->mean, (7 + 7 + 5 + 6) / 4.0);
    assert_true(one->least == 2 && one->median == 4 && one->most == 6);
    assert_true(two->least == 5 && two->median == 6 && two->most == 7);
    assert_true(four->least == 7 && four->most == 7 && four->mean == 7);
    expect_near(one->next, (2 + 4 + 4 + 0) / (3 + 6 + 5 + 4.0));
    expect_near(one->last, 2 / 3.0);
    expect_near(two->next, (5 + 6) / (7 + 7.0)); /* AC of ABC, BC of ABC */
    expect_near(two->last, 6 / 7.0);
    assert_false(four->has_next);
    assert_int_equal(working_set_at(&w, 1, 3), 5);
    working_set_free(&w);
}

static void test_no_working_set(void ** state) {
    (void) state;
    struct given g;
    struct working_set w;
    begin(&g, (const uint64_t[]){ 1 }, 1);
    graph(&g, P, "A");
    assert_true(working_set_find(&g.r, &w));
    assert_int_equal(w.count, 0);
    working_set_free(&w);
}

/* ---- blocks ---- */

static void expect_items(const struct cache_string * s, const char * items) {
    assert_int_equal(s->items.count, strlen(items));
    for (uint32_t i = 0; i < s->items.count; i++) { assert_int_equal(item_at(s, i), items[i] - '0'); }
}

/* A, B and C lie in the first block of 64 KiB, D in the first and the second. */
static void test_blocks_that_tensors_share(void ** state) {
    (void) state;
    struct given g;
    begin(&g, (const uint64_t[]){ 10000, 10000, 10000, 50000 }, 4);
    graph(&g, P, "ABCD");
    graph(&g, G, "ABCD");
    struct cache_string s = string_of(&g, 65536);
    expect_items(&s, "0000100001");
    assert_int_equal(s.n_items, 2);
    assert_int_equal(sum(s.wanted), 160000);
    assert_int_equal(sum(s.first), 2 * 65536);
    assert_int_equal(s.repeat.prompt, 3 * 65536);
    assert_int_equal(s.repeat.generated, 5 * 65536);
    assert_int_equal(s.tokens, 1);
    cache_string_free(&s);
    assert_int_equal(by_bound(&g, 65536, 2 * 65536).all, 0);
    assert_int_equal(by_bound(&g, 65536, 2 * 65536 - 1).all, 65536); /* one block: the first stays */
    assert_int_equal(by_bound(&g, 65536, 65535).all, 8 * 65536);
}

/* Rows of 100 bytes, 400 apart, in blocks of 512: what lies between them is not read, and a block that two rows touch
 * is read once. */
static void test_rows_in_blocks(void ** state) {
    (void) state;
    static struct extent_read extents[] = { { .address = 0, .run = 100, .stride = 400, .rows = 3 },
                                            { .address = 500, .run = 100, .stride = 2000, .rows = 2 } };
    struct given g;
    begin(&g, (const uint64_t[]){ 4096 }, 1);
    g.r.extents.data = extents;
    graph(&g, G, "BC");
    struct cache_string s = string_of(&g, 512);
    expect_items(&s, "010123"); /* bytes 0, 400 to 499, 800 to 899; 500 to 599, 2500 to 2599, which two blocks hold */
    assert_int_equal(sum(s.wanted), 500);
    cache_string_free(&s);
}

/* A loop over four blocks: the optimum keeps all but one, and passes that one by. */
static void test_blocks_of_a_loop(void ** state) {
    (void) state;
    struct given g;
    begin(&g, (const uint64_t[]){ 65536, 65536, 65536, 65536 }, 4);
    for (int i = 0; i < 4; i++) { graph(&g, G, "ABCD"); }
    for (unsigned n = 0; n <= 4; n++) { assert_int_equal(by_bound(&g, 65536, n * 65536).all, 3 * (4 - n) * 65536); }
}

/* Parts of one expert in two tensors, read one after the other: one item, read once a graph. */
static void test_experts(void ** state) {
    (void) state;
    struct tat_tensor tensors[] = { { .layer = 3 }, { .layer = 3 }, { .layer = TAT_NO_LAYER } };
    uint32_t first[] = { 0, 2, 4, 5 }, tensor[] = { 0, 0, 1, 1, 2 };
    struct given g;
    begin(&g, (const uint64_t[]){ 10, 10, 30, 30, 7 }, 5); /* gate of two experts, up of two experts, a weight */
    struct trace_builder b = { 0 };
    struct small_model m;
    small_model_begin(&b, &m);
    struct tat_trace * trace = small_model_open(&b);
    g.subject.trace = trace;
    g.subject.tensors = tensors;
    g.subject.n_tensors = 3;
    g.r.slices.first = first;
    g.r.slices.tensor = tensor;
    tensors[0].layer = tensors[1].layer = 0;
    graph(&g, P, "ACBDE");
    graph(&g, G, "BDEE");
    struct cache_string s = string_of(&g, TAT_CACHE_EXPERT);
    expect_items(&s, "012122");
    assert_int_equal(s.n_items, 3);
    assert_int_equal(s.bytes[0], 40);
    assert_int_equal(s.bytes[2], 7);
    assert_int_equal(sum(s.wanted), 87 + 54);
    assert_int_equal(sum(s.first), 87);
    assert_int_equal(sum(s.repeat), 54);
    cache_string_free(&s);
    tat_trace_close(trace);
    tb_free(&b);
}

static void test_reads_that_are_nowhere(void ** state) {
    (void) state;
    struct given g;
    begin(&g, (const uint64_t[]){ 65536, 65536, 65536, 65536 }, 4);
    g.address[1] = 4 * 65536 - 1; /* past the end by all but a byte */
    g.address[2] = UINT64_MAX - 10;
    g.bytes[3] = UINT64_MAX;
    graph(&g, G, "ABCDA");
    struct cache_string s = string_of(&g, 65536);
    assert_int_equal(s.unplaced, 3);
    expect_items(&s, "00");
    assert_int_equal(sum(s.wanted), 2 * 65536);
    cache_string_free(&s);
}

/* A file that is too large for such blocks has larger ones. */
static void test_absurd_sizes(void ** state) {
    (void) state;
    struct given g;
    begin(&g, (const uint64_t[]){ (uint64_t) 1 << 50, 100 }, 2);
    for (int i = 0; i < 50; i++) { graph(&g, G, "ABA"); }
    struct cache_string s = string_of(&g, 4096);
    assert_int_equal(s.unit, (uint64_t) 1 << 26);
    assert_int_equal(s.sample, 4096); /* of 100 times 2^24 reads */
    assert_int_equal(s.graphs.count, 50);
    cache_string_free(&s);
}

/* ---- long strings ---- */

/* 20,000 blocks in a loop and, at random, 10,000 others: the sample's outcomes are near those of all. */
static void test_sample(void ** state) {
    (void) state;
    enum { LOOP = 20000, OTHERS = 10000, GRAPHS = 60 };
    struct given g;
    struct again found;
    uint64_t seed = 1;
    begin(&g, (const uint64_t[]){ LOOP * 512, OTHERS * 512 }, 2);
    struct extent_read * extents = calloc(GRAPHS * 100, sizeof *extents);
    uint32_t * refs = calloc(GRAPHS * 101, sizeof *refs);
    assert_true(extents && refs);
    g.r.extents.data = extents;
    g.r.refs.data = refs;
    for (uint32_t m = 0; m < GRAPHS; m++) {
        graph(&g, G, "");
        g.r.refs.count++; /* the slice A: the loop */
        for (uint32_t i = 0; i < 100; i++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            extents[m * 100 + i] = (struct extent_read){ .address = (LOOP + (seed >> 33) % OTHERS / 50 * 50) * 512,
                                                         .run = 50 * 512,
                                                         .rows = 1 };
            refs[g.r.refs.count++] = 2 + m * 100 + i;
        }
        g.mark[m + 1].first = g.r.refs.count;
    }
    struct cache_string s = string_of(&g, 512);
    assert_int_equal(s.sample, 4); /* of 60 x 25,000 reads */
    assert_int_equal(s.graphs.count, GRAPHS);
    assert_int_equal(sum(s.first) + sum(s.repeat), (uint64_t) GRAPHS * (LOOP + 100 * 50) * 512);
    assert_true(s.n_items > 6500 && s.n_items < 8500);
    /* LRU of all blocks, by brute force: what the loop leaves of 10,000 others is the most that hits. */
    assert_true(simulate(&s, &policy_lru, (uint64_t) (LOOP + OTHERS) * 512, &found));
    assert_int_equal(found.all, 0);
    assert_true(simulate(&s, &policy_lru, (uint64_t) LOOP * 512, &found));
    assert_true((double) found.all > 0.8 * (double) sum(s.repeat));
    struct bound b;
    assert_true(bound_begin(&b, &s));
    const double least = (double) bound_find(&b, (uint64_t) LOOP * 512).all / (double) sum(s.repeat);
    assert_true(least > 0.1 && least < 0.25);
    bound_end(&b);
    cache_string_free(&s);
    free(extents);
    free(refs);
}

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
    static const uint64_t units[] = { TAT_CACHE_SLICE, 512 };
    static const uint32_t graphs[] = { 3, 6 }; /* passing 2^19 reads, and 2^20 */
    struct given g;
    make_long(&g, 60, 200000);
    for (int i = 0; i < 2; i++) {
        struct cache_string s = string_of(&g, units[i]);
        assert_int_equal(s.graphs.count, graphs[i]);
        assert_int_equal(sum(s.wanted), graphs[i] * (uint64_t) 200000 * 100);
        assert_int_equal(s.tokens, graphs[i]);
        cache_string_free(&s);
    }
    free(g.r.refs.data);
}

static void test_one_graph_too_large_to_simulate(void ** state) {
    (void) state;
    struct given g;
    struct bound b;
    struct again found;
    make_long(&g, 2, 1100000);
    struct cache_string s = string_of(&g, TAT_CACHE_SLICE);
    assert_true(bound_begin(&b, &s));
    assert_int_equal(s.graphs.count, 0);
    assert_int_equal(sum(s.wanted), 0);
    for (size_t k = 0; policy_kinds[k]; k++) {
        assert_true(simulate(&s, policy_kinds[k], 100, &found));
        assert_int_equal(found.all, 0);
    }
    assert_int_equal(bound_find(&b, 100).all, 0);
    bound_end(&b);
    cache_string_free(&s);
    free(g.r.refs.data);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_policies_on_a_loop),
        cmocka_unit_test(test_bound_on_a_loop),
        cmocka_unit_test(test_bound_of_generated_tokens),
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_bound_is_the_least),
        cmocka_unit_test(test_working_set),
        cmocka_unit_test(test_no_working_set),
        cmocka_unit_test(test_blocks_that_tensors_share),
        cmocka_unit_test(test_rows_in_blocks),
        cmocka_unit_test(test_blocks_of_a_loop),
        cmocka_unit_test(test_experts),
        cmocka_unit_test(test_reads_that_are_nowhere),
        cmocka_unit_test(test_absurd_sizes),
        cmocka_unit_test(test_sample),
        cmocka_unit_test(test_whole_graphs_only),
        cmocka_unit_test(test_one_graph_too_large_to_simulate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
