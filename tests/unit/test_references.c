/* SPDX-License-Identifier: MIT
 *
 * Reads of weights in their order, from traces of which it is known; and what bounds them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "analysis/caching/references.h"
#include "small_model.h"

struct given {
    struct trace_builder b;
    struct tat_trace * trace;
    struct subject subject;
    struct references references;
};

static bool feed(const struct tat_access * records, size_t count, void * user) {
    references_feed(user, records, count);
    return true;
}

/* Graphs of these tokens with these experts, two for each token. `tokens` ends with -1. */
static void evaluate(struct given * g, const struct small_model * m, const int64_t * tokens, const uint32_t * experts) {
    size_t n = 0;
    while (tokens[n] >= 0) { n++; }
    small_model_evaluate(&g->b, small_model_template(&g->b, m, n), tokens, n, experts);
}

static void read_all(struct given * g) {
    struct tat_error error = { 0 };
    struct subject * s = &g->subject;
    g->trace = small_model_open(&g->b);
    *s = (struct subject){ .trace = g->trace };
    s->tensors = tat_trace_tensors(g->trace, &s->n_tensors);
    s->templates = tat_trace_templates(g->trace, &s->n_templates);
    s->evaluations = tat_trace_evaluations(g->trace, &s->n_evaluations);
    s->files = tat_trace_model_files(g->trace, &s->n_files);
    assert_true(references_begin(&g->references, s));
    assert_int_equal(tat_trace_expand(g->trace, 0, s->n_evaluations, feed, &g->references, &error), 0);
    references_end(&g->references);
    assert_false(g->references.failed);
}

static void end(struct given * g) {
    references_free(&g->references);
    tat_trace_close(g->trace);
    tb_free(&g->b);
}

static void expect(const struct references * r, size_t number, uint64_t address, uint64_t span, uint64_t bytes,
                   bool is_slice) {
    const struct extent_read e = reference_extent(r, reference_at(r, number));
    assert_int_equal(e.address, address);
    assert_int_equal(e.stride * (e.rows - 1) + e.run, span);
    assert_int_equal(extent_read_bytes(&e), bytes);
    assert_int_equal(reference_at(r, number) < r->slices.count, is_slice);
}

static void expect_slice(const struct references * r, size_t number, uint64_t address, uint64_t bytes) {
    expect(r, number, address, bytes, bytes, true);
}

static void test_order(void ** state) {
    (void) state;
    struct given g = { 0 };
    struct small_model m;
    small_model_begin(&g.b, &m);
    evaluate(&g, &m, (const int64_t[]){ 3, 7, -1 }, (const uint32_t[]){ 2, 0, 1, 2 });
    evaluate(&g, &m, (const int64_t[]){ 5, -1 }, (const uint32_t[]){ 3, 1 });
    read_all(&g);
    const struct references * r = &g.references;
    assert_int_equal(r->slices.count, 1 + 1 + N_EXPERTS);
    assert_int_equal(r->marks.count, 2);
    assert_int_equal(mark_phase(r, 0), TAT_PHASE_PROMPT);
    assert_int_equal(mark_phase(r, 1), TAT_PHASE_GENERATE);
    assert_int_equal(mark_at(r, 0)->first, 0);
    assert_int_equal(mark_at(r, 1)->first, 6);
    assert_int_equal(mark_at(r, 2)->first, 11);
    /* Rows 3 and 7 of the embedding, the projection, experts 0 to 2, all of the embedding. */
    expect(r, 0, 1000 + 3 * EMBD_ROW, 5 * EMBD_ROW, 2 * EMBD_ROW, false);
    expect_slice(r, 1, 2000, QUERY_BYTES);
    for (uint64_t i = 0; i < 3; i++) { expect_slice(r, 2 + i, 3000 + i * EXPERT_BYTES, EXPERT_BYTES); }
    expect_slice(r, 5, 1000, EMBD_BYTES);
    expect(r, 6, 1000 + 5 * EMBD_ROW, EMBD_ROW, EMBD_ROW, false);
    expect_slice(r, 7, 2000, QUERY_BYTES);
    expect_slice(r, 8, 3000 + 1 * EXPERT_BYTES, EXPERT_BYTES);
    expect_slice(r, 9, 3000 + 3 * EXPERT_BYTES, EXPERT_BYTES);
    expect_slice(r, 10, 1000, EMBD_BYTES);
    assert_false(r->approximate || r->full);
    end(&g);
}

/* Rows that touch are one stretch; all rows are the whole tensor. */
static void test_rows(void ** state) {
    (void) state;
    struct given g = { 0 };
    struct small_model m;
    small_model_begin(&g.b, &m);
    evaluate(&g, &m, (const int64_t[]){ 4, 5, -1 }, (const uint32_t[]){ 0, 1, 0, 1 });
    evaluate(&g, &m, (const int64_t[]){ 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, -1 }, (const uint32_t[20]){ 0 });
    read_all(&g);
    const struct references * r = &g.references;
    expect(r, 0, 1000 + 4 * EMBD_ROW, 2 * EMBD_ROW, 2 * EMBD_ROW, false);
    expect_slice(r, mark_at(r, 1)->first, 1000, EMBD_BYTES);
    end(&g);
}

/* If nobody knows which experts were chosen, no slice was read, and that is said. */
static void test_unknown_experts(void ** state) {
    (void) state;
    struct given g = { 0 };
    struct small_model m;
    small_model_begin(&g.b, &m);
    small_model_end_early(&g.b, small_model_template(&g.b, &m, 1), (const int64_t[]){ 4 }, 1, CALLBACKS);
    read_all(&g);
    const struct references * r = &g.references;
    assert_int_equal(r->refs.count, 4);
    expect(r, 2, 3000, 2 * EXPERT_BYTES, 2 * EXPERT_BYTES, false);
    assert_true(r->approximate);
    end(&g);
}

/* Two files, each an address space of its own; then a weight that is in no file, and one whose file is unknown. */
static void test_spaces(void ** state) {
    (void) state;
    enum { SPACE = 1 << 24 };
    const struct tat_model_file files[] = { { .size = 1 }, { .size = SPACE + 1 } };
    struct tat_tensor tensors[] = {
        { .kind = TAT_TENSOR_WEIGHT, .file = 2, .file_offset = 50, .bytes = 10 },
        { .kind = TAT_TENSOR_WEIGHT, .file = 1, .file_offset = 0, .bytes = 1 },
        { .kind = TAT_TENSOR_STATE, .bytes = 99 },
        { .kind = TAT_TENSOR_WEIGHT, .bytes = 10 },
        { .kind = TAT_TENSOR_WEIGHT, .file = 3, .file_offset = 7, .bytes = 10 },
    };
    for (uint32_t i = 0; i < 5; i++) { tensors[i].weight = i; }
    const struct subject s = { .tensors = tensors, .n_tensors = 5, .files = files, .n_files = 2 };
    struct references r;
    assert_true(references_begin(&r, &s));
    const uint64_t expected[] = { SPACE + 50, 0, 3 * SPACE, 4 * SPACE + 7 };
    for (int i = 0; i < 4; i++) { assert_int_equal(r.address[i], expected[i]); }
    assert_int_equal(r.space, 5 * SPACE);
    references_free(&r);
}

/* ---- bounds ---- */

enum { MANY = 1 << 16 };

static const struct tat_tensor one_weight = { .kind = TAT_TENSOR_WEIGHT, .bytes = 8 };

/* Graphs of as many reads each, of the whole weight or a part, until `graphs` or all that is accepted. */
static size_t read_many(struct references * r, uint64_t bytes, size_t per_graph, size_t graphs) {
    static struct tat_access records[MANY];
    size_t graph = 0;
    for (; graph < graphs && !r->full; graph++) {
        for (size_t i = 0; i < MANY; i++) {
            records[i] = (struct tat_access){ .bytes = bytes,
                                              .evaluation = (uint32_t) graph,
                                              .rows = 1,
                                              .expert = TAT_NO_EXPERT,
                                              .flags = TAT_PHASE_GENERATE << TAT_ACCESS_PHASE_SHIFT };
        }
        for (size_t left = per_graph; left; left -= left < MANY ? left : MANY) {
            references_feed(r, records, left < MANY ? left : MANY);
        }
    }
    return graph;
}

static void test_too_many(void ** state) {
    (void) state;
    const struct subject s = { .tensors = &one_weight, .n_tensors = 1 };
    const uint64_t bytes[] = { 8, 4 };
    for (int i = 0; i < 2; i++) {
        struct references r;
        assert_true(references_begin(&r, &s));
        const size_t fed = read_many(&r, bytes[i], 100000, 1000);
        references_end(&r);
        assert_true(r.full && !r.failed);
        assert_true(fed < 1000);
        assert_int_equal(r.marks.count, fed - 1); /* without the graph in which it became too much */
        assert_int_equal(r.refs.count, r.marks.count * 100000);
        assert_int_equal(mark_at(&r, r.marks.count)->first, r.refs.count);
        references_free(&r);
    }
}

static void test_one_graph_too_large(void ** state) {
    (void) state;
    const struct subject s = { .tensors = &one_weight, .n_tensors = 1 };
    struct references r;
    assert_true(references_begin(&r, &s));
    read_many(&r, 4, (size_t) 1 << 25, 2);
    references_end(&r);
    assert_true(r.full && !r.failed);
    assert_int_equal(r.marks.count, 0);
    assert_int_equal(r.refs.count, 0);
    references_free(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),  cmocka_unit_test(test_rows),     cmocka_unit_test(test_unknown_experts),
        cmocka_unit_test(test_spaces), cmocka_unit_test(test_too_many), cmocka_unit_test(test_one_graph_too_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
