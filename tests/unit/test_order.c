/* SPDX-License-Identifier: MIT
 *
 * The order of reading, of small models whose answers are known: by hand, by trying all orders, or by theory.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "tat/analysis.h"
#include "trace_builder.h"

/* ---------------------------------------------------------------------------------------------------------- models */

enum { NODES_MAX = 48, ROW = 32, ASKED = TAT_NODE_COMPUTE, RULE = TAT_RULE_SKIP_EMPTY | TAT_RULE_SKIP_UNASKED };

/* An operation that reads one weight, or of a stack one slice, and the results of others. */
struct node {
    uint32_t weight; /* tensor */
    uint32_t after;  /* bits: node i; up to 4. All read the embedding, too */
    bool     chooses;
};

/* Weights in a file, an embedding of one-row tokens, and templates of nodes. */
struct model {
    struct trace_builder b;
    uint32_t             embd, ids, result[NODES_MAX], chosen[NODES_MAX];
    char                 names[3][NODES_MAX][8];
    json_t *             order; /* the section */
};

static uint32_t tensor(struct model * m, const char * name, enum tat_tensor_kind kind, uint64_t n0, uint64_t n2,
                       uint64_t offset) {
    const bool weight = kind == TAT_TENSOR_WEIGHT;
    return tb_tensor(&m->b, (struct tb_tensor){ .name        = name,
                                                .kind        = kind,
                                                .memory      = weight ? TAT_MEMORY_FILE : TAT_MEMORY_BUFFER,
                                                .type        = "i8",
                                                .block       = 1,
                                                .block_bytes = 1,
                                                .ne          = { n0, 1, n2 },
                                                .file        = weight,
                                                .file_offset = offset });
}

/* The embedding has 64 rows at the end of the file, or wherever. */
static void begin(struct model * m, uint64_t embedding_offset) {
    tb_begin(&m->b);
    tb_model_file(&m->b, "/model.gguf");
    m->embd = tb_tensor(&m->b, (struct tb_tensor){ .name        = "token_embd.weight",
                                                   .kind        = TAT_TENSOR_WEIGHT,
                                                   .memory      = TAT_MEMORY_FILE,
                                                   .type        = "i8",
                                                   .block       = 1,
                                                   .block_bytes = 1,
                                                   .ne          = { ROW, 64 },
                                                   .file        = 1,
                                                   .file_offset = embedding_offset });
    m->ids  = tensor(m, "inp_tokens", TAT_TENSOR_INPUT, 1, 1, 0);
    for (int i = 0; i < NODES_MAX; i++) {
        snprintf(m->names[0][i], 8, "r-%d", i);
        snprintf(m->names[1][i], 8, "c-%d", i);
        snprintf(m->names[2][i], 8, "w%d", i);
        m->result[i] = tensor(m, m->names[0][i], TAT_TENSOR_ACTIVATION, 1, 1, 0);
        m->chosen[i] = tensor(m, m->names[1][i], TAT_TENSOR_ACTIVATION, 1, 1, 0);
    }
}

static void end(struct model * m) {
    json_decref(m->order);
    tb_free(&m->b);
}

static uint32_t weight(struct model * m, int number, uint64_t bytes, uint64_t offset) {
    return tensor(m, m->names[2][number], TAT_TENSOR_WEIGHT, bytes, 1, offset);
}

/* Leaves: embedding, token, then a weight and a choice of each node. */
static uint32_t graph(struct model * m, const struct node * nodes, uint32_t n) {
    struct tb_entry   e[3 + 3 * NODES_MAX];
    struct tb_capture captures[NODES_MAX + 1];
    const uint32_t    leaves     = 2 + 2 * n;
    uint32_t          n_captures = 1;
    captures[0]                  = (struct tb_capture){ TAT_CAPTURE_ROWS, 1, 0, 1 };
    e[0]      = (struct tb_entry){ .name = "token_embd.weight", .type = "i8", .tensor = m->embd, .ne = { ROW, 64 } };
    e[1]      = (struct tb_entry){ .name = "inp_tokens", .type = "i8", .tensor = m->ids, .ne = { 1 } };
    e[leaves] = (struct tb_entry){ .name   = "inp_embd",
                                   .op     = "GET_ROWS",
                                   .type   = "i8",
                                   .tensor = m->result[NODES_MAX - 1],
                                   .ne     = { ROW },
                                   .facts  = ASKED,
                                   .src    = { 1, 2 } };
    for (uint32_t i = 0; i < n; i++) {
        const struct node * node  = &nodes[i];
        struct tb_entry *   w     = &e[2 + 2 * i];
        struct tb_entry *   x     = &e[leaves + 1 + i];
        int                 count = 3;
        *w                        = (struct tb_entry){ .name = "weight", .type = "i8", .tensor = node->weight };
        w[1] = (struct tb_entry){ .name = m->names[1][i], .type = "i8", .tensor = m->chosen[i], .ne = { 1 } };
        *x   = (struct tb_entry){ .name   = m->names[0][i],
                                  .op     = node->chooses ? "MUL_MAT_ID" : "MUL_MAT",
                                  .type   = "i8",
                                  .tensor = m->result[i],
                                  .ne     = { 1 },
                                  .facts  = ASKED,
                                  .src    = { 3 + 2 * (int) i, (int) leaves + 1, node->chooses ? 4 + 2 * (int) i : 0 } };
        for (uint32_t j = 0; j < i; j++) {
            if (node->after >> j & 1) { x->src[count++] = (int) (leaves + 2 + j); }
        }
        if (node->chooses) { captures[n_captures++] = (struct tb_capture){ TAT_CAPTURE_EXPERTS, 3 + 2 * i, 1 + i, 2 }; }
        /* Shapes are those of the tensors. */
        w->ne[0] = 16;
        if (node->chooses) { w->ne[2] = 8; }
    }
    return tb_template(&m->b, 1, e, leaves, n + 1, captures, n_captures);
}

/* An evaluation: which row of the embedding, which slice each node that chooses takes. */
static void run(struct model * m, uint32_t template, uint32_t n_nodes, int64_t token, const uint32_t * slices,
                uint32_t n_slices) {
    struct payload p;
    payload_begin(&p);
    tb_put_series(&p.out, &token, 1);
    for (uint32_t i = 0; i < n_slices; i++) { tb_put_each(&p.out, &slices[i], 1); }
    tb_evaluation(&m->b, (struct tb_evaluation){ .template       = template,
                                                 .rule           = RULE,
                                                 .n_callbacks    = n_nodes + 1,
                                                 .captures       = p.bytes,
                                                 .captures_bytes = (size_t) (p.out.at - p.bytes) });
}

static void ask(struct model * m) {
    static const char * const names[] = { "order" };
    struct tat_error          error   = { 0 };
    tb_end(&m->b);
    struct tat_trace * trace = tb_open(&m->b, &error);
    if (!trace) { fail_msg("%s", error.message); }
    assert_int_equal(tat_trace_summary(trace)->undecodable_blocks, 0);
    char *   text = tat_analyze(trace, names, 1, NULL, &error);
    json_t * all  = text ? json_loads(text, 0, NULL) : NULL;
    if (!all) { fail_msg("%s", error.message); }
    m->order = json_incref(json_object_get(all, "order"));
    json_decref(all);
    free(text);
    tat_trace_close(trace);
}

static int64_t value(const struct model * m, const char * key) {
    const json_t * found = json_object_get(json_object_get(m->order, "values"), key);
    if (!json_is_integer(found)) { fail_msg("no value '%s'", key); }
    return json_integer_value(found);
}

/* The row of a table where `key` is `name`. */
static const json_t * row(const struct model * m, const char * table, const char * key, const char * name) {
    const json_t * rows = json_object_get(json_object_get(json_object_get(m->order, "tables"), table), "rows");
    size_t         i;
    const json_t * r;
    json_array_foreach(rows, i, r) {
        if (strcmp(json_string_value(json_object_get(r, key)), name) == 0) { return r; }
    }
    fail_msg("no row '%s' in '%s'", name, table);
    return NULL;
}

static int64_t count(const json_t * object, const char * key) {
    if (!json_is_integer(json_object_get(object, key))) { fail_msg("no count '%s'", key); }
    return json_integer_value(json_object_get(object, key));
}

static double share(const json_t * object, const char * key) {
    if (!json_is_real(json_object_get(object, key))) { fail_msg("no share '%s'", key); }
    return json_real_value(json_object_get(object, key));
}

static const char * const predictors[] = { "last", "last_frozen", "markov_1", "markov_2", "graph" };
enum { PREDICTORS = 5 };

static double predicted(const struct model * m, int predictor, const char * of) {
    return share(row(m, "prediction", "predictor", predictors[predictor]), of);
}

/* ------------------------------------------------------------------------------------------------------------ gaps */

/* One evaluation of weights of 16 bytes at these offsets, after an embedding that ends at ROW. */
static void read_at(struct model * m, const uint64_t * offsets, uint32_t n) {
    struct node nodes[NODES_MAX] = { 0 };
    begin(m, 0);
    for (uint32_t i = 0; i < n; i++) { nodes[i].weight = weight(m, (int) i, 16, offsets[i]); }
    run(m, graph(m, nodes, n), n, 0, NULL, 0);
    ask(m);
}

static void expect_kinds(const struct model * m, int64_t sequential, int64_t near, int64_t random) {
    const json_t * all = row(m, "components", "component", "all");
    assert_int_equal(count(all, "sequential_accesses"), sequential);
    assert_int_equal(count(all, "near_accesses"), near);
    assert_int_equal(count(all, "random_accesses"), random);
    assert_int_equal(count(all, "sequential_bytes"), 16 * sequential);
    assert_int_equal(count(all, "near_bytes"), 16 * near);
    assert_int_equal(count(all, "random_bytes"), 16 * random);
    assert_int_equal(count(all, "first_accesses"), 1);
    assert_int_equal(count(all, "accesses"), 1 + sequential + near + random);
}

static void test_file_order(void ** state) {
    (void) state;
    struct model m;
    read_at(&m, (const uint64_t[]){ 32, 48, 64, 80 }, 4);
    expect_kinds(&m, 4, 0, 0);
    assert_int_equal(count(row(&m, "gaps", "distance", "none"), "forward"), 4);
    assert_int_equal(count(row(&m, "components", "component", "all"), "gap_bytes"), 0);
    end(&m);
}

/* 131,071 bytes are near, 131,072 are not, whichever way. */
static void test_near_and_random(void ** state) {
    (void) state;
    struct model m;
    enum {
        NEAR = 131071,
        FAR  = 131072,
        A    = 32 + NEAR,
        B    = A + 16 + FAR,
        C    = B + 16 - NEAR,
        D    = C + 16 - FAR,
        E    = D + 17
    };
    read_at(&m, (const uint64_t[]){ A, B, C, D, E }, 5);
    expect_kinds(&m, 0, 3, 2);
    const json_t * near = row(&m, "gaps", "distance", "64.0 KiB to 128 KiB");
    const json_t * far  = row(&m, "gaps", "distance", "128 KiB to 256 KiB");
    const json_t * one  = row(&m, "gaps", "distance", "1 B to 2 B");
    assert_int_equal(count(near, "forward"), 1);
    assert_int_equal(count(near, "backward"), 1);
    assert_int_equal(count(far, "forward"), 1);
    assert_int_equal(count(far, "backward"), 1);
    assert_int_equal(count(one, "forward"), 1);
    assert_int_equal(count(one, "backward"), 0);
    assert_int_equal(count(far, "from_bytes"), FAR);
    assert_int_equal(count(row(&m, "components", "component", "all"), "gap_bytes"), 2 * NEAR + 2 * FAR + 1);
    end(&m);
}

/* Each part of the model is looked at as if it were alone. */
static void test_a_part_by_itself(void ** state) {
    (void) state;
    struct model m;
    struct node  nodes[4] = { 0 };
    begin(&m, 1 << 20);
    nodes[0].weight = tensor(&m, "blk.0.attn_q.weight", TAT_TENSOR_WEIGHT, 16, 1, 0);
    nodes[1].weight = tensor(&m, "blk.0.ffn_up.weight", TAT_TENSOR_WEIGHT, 16, 1, 1 << 19);
    nodes[2].weight = tensor(&m, "blk.1.attn_q.weight", TAT_TENSOR_WEIGHT, 16, 1, 16);
    nodes[3].weight = tensor(&m, "blk.1.ffn_up.weight", TAT_TENSOR_WEIGHT, 16, 1, (1 << 19) + 116);
    run(&m, graph(&m, nodes, 4), 4, 0, NULL, 0);
    ask(&m);
    expect_kinds(&m, 0, 0, 4);
    assert_int_equal(count(row(&m, "components", "component", "attn_q"), "sequential_accesses"), 1);
    assert_int_equal(count(row(&m, "components", "component", "ffn_up"), "near_accesses"), 1);
    assert_int_equal(count(row(&m, "components", "component", "ffn_up"), "gap_bytes"), 100);
    end(&m);
}

/* ------------------------------------------------------------------------------------------------------------ same */

static void test_same_order(void ** state) {
    (void) state;
    struct model m;
    struct node  nodes[3] = { 0 };
    begin(&m, 0);
    for (int i = 0; i < 3; i++) { nodes[i].weight = weight(&m, i, 16, 4096 + 16 * (uint64_t) i); }
    const uint32_t t = graph(&m, nodes, 3);
    for (int i = 0; i < 9; i++) { run(&m, t, 3, i % 5, NULL, 0); } /* tokens differ: their rows do not matter */
    ask(&m);
    assert_int_equal(value(&m, "generated_evaluations"), 8);
    assert_int_equal(value(&m, "compared_tokens"), 7);
    assert_int_equal(value(&m, "identical_by_tensor"), 7);
    assert_int_equal(value(&m, "identical_by_slice"), 7);
    assert_null(json_object_get(json_object_get(m.order, "values"), "first_different_tensor"));
    end(&m);
}

static void test_another_order(void ** state) {
    (void) state;
    struct model m;
    struct node  nodes[3] = { 0 }, swapped[3] = { 0 };
    begin(&m, 0);
    for (int i = 0; i < 3; i++) { nodes[i].weight = weight(&m, i, 16, 4096 + 16 * (uint64_t) i); }
    swapped[0] = nodes[0], swapped[1] = nodes[2], swapped[2] = nodes[1];
    const uint32_t t = graph(&m, nodes, 3), u = graph(&m, swapped, 3);
    run(&m, t, 3, 0, NULL, 0); /* the prompt */
    for (int i = 0; i < 3; i++) { run(&m, t, 3, 0, NULL, 0); }
    for (int i = 0; i < 2; i++) { run(&m, u, 3, 0, NULL, 0); }
    ask(&m);
    assert_int_equal(value(&m, "compared_tokens"), 4);
    assert_int_equal(value(&m, "identical_by_tensor"), 3);
    assert_int_equal(value(&m, "identical_by_slice"), 3);
    const json_t * first = json_object_get(json_object_get(m.order, "values"), "first_different_slice");
    assert_int_equal(count(first, "evaluation"), 4);
    assert_int_equal(count(first, "token"), 4);
    assert_int_equal(count(first, "access"), 3); /* after the embedding and w0 */
    assert_string_equal(json_string_value(json_object_get(json_object_get(first, "expected"), "tensor")), "w1");
    assert_string_equal(json_string_value(json_object_get(json_object_get(first, "actual"), "tensor")), "w2");
    end(&m);
}

static void test_another_slice(void ** state) {
    (void) state;
    struct model m;
    struct node  node = { .chooses = true };
    begin(&m, 0);
    node.weight      = tensor(&m, "blk.0.ffn_up_exps.weight", TAT_TENSOR_WEIGHT, 16, 8, 4096);
    const uint32_t t = graph(&m, &node, 1);
    for (uint32_t i = 0; i < 5; i++) { run(&m, t, 1, 0, (const uint32_t[]){ i < 3 ? 5 : 2 }, 1); }
    ask(&m);
    assert_int_equal(value(&m, "compared_tokens"), 3);
    assert_int_equal(value(&m, "identical_by_tensor"), 3);
    assert_int_equal(value(&m, "identical_by_slice"), 2);
    const json_t * first = json_object_get(json_object_get(m.order, "values"), "first_different_slice");
    assert_int_equal(count(first, "access"), 2);
    assert_int_equal(count(json_object_get(first, "expected"), "expert"), 5);
    assert_int_equal(count(json_object_get(first, "actual"), "expert"), 2);
    assert_int_equal(count(json_object_get(first, "actual"), "offset"), 4096 + 2 * 16);
    end(&m);
}

/* ------------------------------------------------------------------------------------------------------ prediction */

/* The same for every token: all that learn know it all, and so does the graph. */
static void test_predict_periodic(void ** state) {
    (void) state;
    struct model m;
    struct node  nodes[10] = { 0 };
    begin(&m, 0);
    for (int i = 0; i < 10; i++) { nodes[i].weight = weight(&m, i, 16, 4096 + 16 * (uint64_t) (i * 7 % 10)); }
    const uint32_t t = graph(&m, nodes, 10);
    for (int i = 0; i < 21; i++) { run(&m, t, 10, i % 5, NULL, 0); }
    ask(&m);
    assert_int_equal(value(&m, "trained_tokens"), 10);
    assert_int_equal(value(&m, "scored_tokens"), 10);
    assert_int_equal(value(&m, "scored_slices"), 10 * 11);
    for (int p = 0; p < PREDICTORS; p++) {
        assert_true(predicted(&m, p, "tensor_share") == 1.0);
        assert_true(predicted(&m, p, "slice_share") == 1.0);
        assert_true(predicted(&m, p, "slice_bytes_share") == 1.0);
    }
    end(&m);
}

/* A weight that is read twice a token, with different successors: one symbol back does not tell which, two do. */
static void test_predict_by_two(void ** state) {
    (void) state;
    struct model m;
    struct node  nodes[4] = { 0 };
    begin(&m, 0);
    for (int i = 0; i < 3; i++) { nodes[i].weight = weight(&m, i, 16, 4096 + 16 * (uint64_t) i); }
    nodes[3].weight  = nodes[2].weight;
    nodes[2].weight  = nodes[1].weight; /* embedding, w0, w1, w1, w2 */
    const uint32_t t = graph(&m, nodes, 4);
    for (int i = 0; i < 21; i++) { run(&m, t, 4, 0, NULL, 0); }
    ask(&m);
    assert_true(predicted(&m, 0, "slice_share") == 0.6); /* of the last: w1 after w1 where w2 was, and the reverse */
    assert_true(predicted(&m, 1, "slice_share") == 0.8);
    assert_true(predicted(&m, 2, "slice_share") == 0.8);
    assert_true(predicted(&m, 3, "slice_share") == 1.0);
    assert_true(predicted(&m, 4, "slice_share") == 1.0);
    end(&m);
}

static uint32_t random_below(uint64_t * seed, uint32_t n) {
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t) (*seed >> 33) % n;
}

/* Five standard deviations of n independent guesses. */
static void expect_share(double actual, double expected, uint64_t n) {
    const double tolerance = 5 * sqrt(expected * (1 - expected) / (double) n);
    if (fabs(actual - expected) > tolerance) { fail_msg("%.4f is not %.4f +- %.4f", actual, expected, tolerance); }
}

/* Each token reads 8 weights in an order of its own. After any access each of the 7 others and the next token's
 * embedding are equally likely, so whatever is guessed is right once in 8; but the graph knows. */
static void test_predict_shuffled(void ** state) {
    (void) state;
    enum { N = 8, TOKENS = 400 };
    struct model m;
    struct node  nodes[N] = { 0 };
    uint64_t     seed     = 1;
    begin(&m, 0);
    for (int i = 0; i < N; i++) { nodes[i].weight = weight(&m, i, 16, 4096 + 16 * (uint64_t) i); }
    for (int i = 0; i <= TOKENS; i++) {
        for (uint32_t k = N - 1; k > 0; k--) {
            const uint32_t    other = random_below(&seed, k + 1);
            const struct node swap  = nodes[k];
            nodes[k]                = nodes[other];
            nodes[other]            = swap;
        }
        run(&m, graph(&m, nodes, N), N, 0, NULL, 0);
    }
    ask(&m);
    for (int p = 0; p < 4; p++) {
        expect_share(predicted(&m, p, "tensor_share"), 1.0 / N, (N + 1) * TOKENS / 2);
        expect_share(predicted(&m, p, "slice_share"), 1.0 / N, (N + 1) * TOKENS / 2);
    }
    assert_true(predicted(&m, 4, "tensor_share") == 1.0);
    assert_true(predicted(&m, 4, "slice_share") == 1.0);
    end(&m);
}

/* 40 steps a token, each of one slice in 8 at random: right once in 8, the embedding between two tokens aside, which
 * nobody expects. The tensor is always the same, and known. */
static void test_predict_random_slices(void ** state) {
    (void) state;
    enum { STEPS = 40, SLICES = 8, TOKENS = 200, SCORED = (STEPS + 1) * TOKENS / 2 };
    struct model m;
    struct node  nodes[STEPS];
    uint32_t     slices[STEPS];
    uint64_t     seed = 2;
    begin(&m, 0);
    const uint32_t stack = tensor(&m, "blk.0.ffn_up_exps.weight", TAT_TENSOR_WEIGHT, 16, SLICES, 4096);
    for (int i = 0; i < STEPS; i++) { nodes[i] = (struct node){ .weight = stack, .chooses = true }; }
    const uint32_t t = graph(&m, nodes, STEPS);
    for (int i = 0; i <= TOKENS; i++) {
        for (int k = 0; k < STEPS; k++) { slices[k] = random_below(&seed, SLICES); }
        run(&m, t, STEPS, 0, slices, STEPS);
    }
    ask(&m);
    for (int p = 0; p < 4; p++) {
        const double once = (double) STEPS / SLICES / (STEPS + 1);
        expect_share(predicted(&m, p, "slice_share"), p == 0 ? once * (1 - 1.0 / STEPS) : once, SCORED);
    }
    assert_true(predicted(&m, 4, "tensor_share") == 1.0);
    /* The graph knows the embedding, and of the slices what the token before read. */
    expect_share(predicted(&m, 4, "slice_share"), (1 + (double) STEPS / SLICES) / (STEPS + 1), SCORED);
    end(&m);
}

/* --------------------------------------------------------------------------------------------------------- reorder */

enum { SLOT = 100, SIZE = 16 };

/* The first token is the prompt; the other is what is reordered. */
static void reorder(struct model * m, const struct node * nodes, uint32_t n) {
    const uint32_t t = graph(m, nodes, n);
    run(m, t, n, 0, NULL, 0);
    run(m, t, n, 0, NULL, 0);
    ask(m);
}

/* Weights in slots of the file behind the embedding. */
static void place(struct model * m, struct node * nodes, const int * slots, uint32_t n) {
    begin(m, 0);
    for (uint32_t i = 0; i < n; i++) { nodes[i].weight = weight(m, (int) i, SIZE, SLOT * (uint64_t) (slots[i] + 1)); }
}

static void test_reorder_independent(void ** state) {
    (void) state;
    struct model m;
    struct node  nodes[4] = { 0 };
    place(&m, nodes, (const int[]){ 2, 0, 3, 1 }, 4);
    reorder(&m, nodes, 4);
    /* From 32 to slot 2 at 300, back from 316 to 100, from 116 to 400, back from 416 to 200. */
    assert_int_equal(value(&m, "reorder_actual_bytes"), 268 + 216 + 284 + 216);
    assert_int_equal(value(&m, "reorder_best_bytes"), 68 + 84 + 84 + 84);
    assert_int_equal(value(&m, "reorder_one_pass_bytes"), 68 + 84 + 84 + 84);
    assert_int_equal(value(&m, "reorder_operations"), 5);
    assert_int_equal(value(&m, "reorder_blocks"), 2);
    assert_int_equal(value(&m, "reorder_largest_block"), 4);
    end(&m);
}

static void test_reorder_chain(void ** state) {
    (void) state;
    struct model m;
    struct node  nodes[4] = { { .after = 0 }, { .after = 1 }, { .after = 2 }, { .after = 4 } };
    place(&m, nodes, (const int[]){ 2, 0, 3, 1 }, 4);
    reorder(&m, nodes, 4);
    assert_int_equal(value(&m, "reorder_actual_bytes"), 984);
    assert_int_equal(value(&m, "reorder_best_bytes"), 984); /* there is no other */
    assert_int_equal(value(&m, "reorder_one_pass_bytes"), 320);
    assert_int_equal(value(&m, "reorder_blocks"), 5);
    end(&m);
}

/* The smallest distance over all orders that are legal, one by one. */
static int64_t try_all(const struct node * nodes, const int * slots, uint32_t n, uint32_t done, int64_t at) {
    int64_t best = done == (1u << n) - 1 ? 0 : INT64_MAX;
    for (uint32_t i = 0; i < n; i++) {
        if (done >> i & 1 || nodes[i].after & ~done) { continue; }
        const int64_t from = SLOT * (slots[i] + 1);
        const int64_t sum  = llabs(from - at) + try_all(nodes, slots, n, done | 1u << i, from + SIZE);
        if (sum < best) { best = sum; }
    }
    return best;
}

static void test_reorder_all_orders(void ** state) {
    (void) state;
    enum { N = 7, GRAPHS = 60 };
    uint64_t seed = 3;
    int      gain = 0;
    for (int g = 0; g < GRAPHS; g++) {
        struct model m;
        struct node  nodes[N] = { 0 };
        int          slots[N];
        for (int i = 0; i < N; i++) {
            const int other = (int) random_below(&seed, (uint32_t) i + 1);
            slots[i]        = slots[other];
            slots[other]    = i;
        }
        for (uint32_t i = 1; i < N; i++) {
            for (int k = 0; k < g % 3; k++) { nodes[i].after |= 1u << random_below(&seed, i); }
        }
        place(&m, nodes, slots, N);
        reorder(&m, nodes, N);
        assert_int_equal(value(&m, "reorder_best_bytes"), try_all(nodes, slots, N, 0, ROW));
        assert_true(json_is_true(json_object_get(json_object_get(m.order, "values"), "reorder_exact")));
        gain += value(&m, "reorder_best_bytes") < value(&m, "reorder_actual_bytes");
        end(&m);
    }
    assert_true(gain > GRAPHS / 2);
}

/* Too many to try all orders: the nearest comes next, which from the file's beginning is file order. */
static void test_reorder_many(void ** state) {
    (void) state;
    enum { N = 30 };
    struct model m;
    struct node  nodes[N] = { 0 };
    int          slots[N];
    for (int i = 0; i < N; i++) { slots[i] = i * 11 % N; }
    place(&m, nodes, slots, N);
    reorder(&m, nodes, N);
    assert_true(json_is_false(json_object_get(json_object_get(m.order, "values"), "reorder_exact")));
    assert_int_equal(value(&m, "reorder_best_bytes"), value(&m, "reorder_one_pass_bytes"));
    assert_int_equal(value(&m, "reorder_one_pass_bytes"), 68 + (N - 1) * 84);
    end(&m);
}

/* w1 is read to fill the cache, and w0 with what was read from it: no source says so, but the cache does. */
static void test_reorder_cache(void ** state) {
    (void) state;
    for (int through_cache = 0; through_cache < 2; through_cache++) {
        struct model m;
        struct node  nodes[2] = { 0 };
        place(&m, nodes, (const int[]){ 0, 1 }, 2);
        const uint32_t        cache = tb_tensor(&m.b, (struct tb_tensor){ .name        = "cache_k_l0",
                                                                          .kind        = TAT_TENSOR_STATE,
                                                                          .memory      = TAT_MEMORY_KV,
                                                                          .type        = "i8",
                                                                          .block       = 1,
                                                                          .block_bytes = 1,
                                                                          .ne          = { 16, 4 } });
        const struct tb_entry e[]   = {
              { .name = "token_embd.weight", .type = "i8", .tensor = m.embd, .ne = { ROW, 64 } },
              { .name = "inp_tokens", .type = "i8", .tensor = m.ids, .ne = { 1 } },
              { .name = "w0", .type = "i8", .tensor = nodes[0].weight, .ne = { SIZE } },
              { .name = "w1", .type = "i8", .tensor = nodes[1].weight, .ne = { SIZE } },
              { .name = "cache_k_l0", .type = "i8", .tensor = cache, .ne = { 16, 4 } },
              { .name   = "inp_embd",
                .op     = "GET_ROWS",
                .type   = "i8",
                .tensor = m.result[0],
                .ne     = { ROW },
                .facts  = ASKED,
                .src    = { 1, 2 } },
              { .name   = "k",
                .op     = "MUL_MAT",
                .type   = "i8",
                .tensor = m.result[1],
                .ne     = { 16 },
                .facts  = ASKED,
                .src    = { 4, 6 } },
              { .name   = "written",
                .op     = "CPY",
                .type   = "i8",
                .tensor = cache,
                .ne     = { 16 },
                .facts  = ASKED,
                .src    = { 7, 5 } },
              { .name   = "kq",
                .op     = "MUL_MAT",
                .type   = "i8",
                .tensor = m.result[2],
                .ne     = { 4 },
                .facts  = ASKED,
                .src    = { through_cache ? 5 : 6, 6 } },
              { .name   = "out",
                .op     = "MUL_MAT",
                .type   = "i8",
                .tensor = m.result[3],
                .ne     = { 1 },
                .facts  = ASKED,
                .src    = { 3, 9 } },
        };
        const struct tb_capture capture = { TAT_CAPTURE_ROWS, 1, 0, 1 };
        const uint32_t          t       = tb_template(&m.b, 1, e, 5, 5, &capture, 1);
        run(&m, t, 4, 0, NULL, 0);
        run(&m, t, 4, 0, NULL, 0);
        ask(&m);
        assert_int_equal(value(&m, "reorder_actual_bytes"), 168 + 116);
        assert_int_equal(value(&m, "reorder_best_bytes"), through_cache ? 168 + 116 : 68 + 84);
        end(&m);
    }
}

/* --------------------------------------------------------------------------------------------------------- nothing */

static void test_nothing_to_say(void ** state) {
    (void) state;
    struct model m;
    begin(&m, 0);
    ask(&m);
    assert_true(json_is_true(json_object_get(m.order, "absent")));
    assert_int_equal(value(&m, "generated_evaluations"), 0);
    end(&m);
}

static void test_one_token(void ** state) {
    (void) state;
    struct model m;
    struct node  node = { 0 };
    begin(&m, 0);
    node.weight      = weight(&m, 0, 16, 4096);
    const uint32_t t = graph(&m, &node, 1);
    run(&m, t, 1, 0, NULL, 0);
    run(&m, t, 1, 1, NULL, 0);
    ask(&m);
    assert_int_equal(value(&m, "generated_evaluations"), 1);
    assert_int_equal(value(&m, "compared_tokens"), 0);
    assert_int_equal(value(&m, "scored_slices"), 0);
    assert_int_equal(value(&m, "reordered_tokens"), 1);
    end(&m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_file_order),          cmocka_unit_test(test_near_and_random),
        cmocka_unit_test(test_a_part_by_itself),    cmocka_unit_test(test_same_order),
        cmocka_unit_test(test_another_order),       cmocka_unit_test(test_another_slice),
        cmocka_unit_test(test_predict_periodic),    cmocka_unit_test(test_predict_by_two),
        cmocka_unit_test(test_predict_shuffled),    cmocka_unit_test(test_predict_random_slices),
        cmocka_unit_test(test_reorder_independent), cmocka_unit_test(test_reorder_chain),
        cmocka_unit_test(test_reorder_all_orders),  cmocka_unit_test(test_reorder_many),
        cmocka_unit_test(test_reorder_cache),       cmocka_unit_test(test_nothing_to_say),
        cmocka_unit_test(test_one_token),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
