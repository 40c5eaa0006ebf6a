/* SPDX-License-Identifier: MIT
 *
 * The best order that dependencies allow: by hand, and against all orders tried one by one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "order_model.h"

enum { SLOT = 100 };

/* The first token is the prompt; the other is what is reordered. */
static void reorder(struct model * m, const struct node * nodes, uint32_t n) {
    const uint32_t t = model_graph(m, nodes, n);
    model_run(m, t, n, 0, NULL, 0);
    model_run(m, t, n, 0, NULL, 0);
    model_ask(m);
}

/* Puts weights in slots of the file after the embedding. */
static void place(struct model * m, struct node * nodes, const int * slots, uint32_t n) {
    model_begin(m, 0);
    for (uint32_t i = 0; i < n; i++) { nodes[i].weight = model_weight(m, (int) i, SLOT * (uint64_t) (slots[i] + 1)); }
}

static void test_reorder_independent(void ** state) {
    (void) state;
    struct model m;
    struct node nodes[4] = { 0 };
    place(&m, nodes, (const int[]){ 2, 0, 3, 1 }, 4);
    reorder(&m, nodes, 4);
    /* From 32 to slot 2 at 300, back from 316 to 100, from 116 to 400, back from 416 to 200. */
    assert_int_equal(model_value(&m, "reorder_actual_bytes"), 268 + 216 + 284 + 216);
    assert_int_equal(model_value(&m, "reorder_best_bytes"), 68 + 84 + 84 + 84);
    assert_int_equal(model_value(&m, "reorder_one_pass_bytes"), 68 + 84 + 84 + 84);
    assert_int_equal(model_value(&m, "reorder_operations"), 5);
    assert_int_equal(model_value(&m, "reorder_blocks"), 2);
    assert_int_equal(model_value(&m, "reorder_largest_block"), 4);
    model_end(&m);
}

static void test_reorder_chain(void ** state) {
    (void) state;
    struct model m;
    struct node nodes[4] = { { .after = 0 }, { .after = 1 }, { .after = 2 }, { .after = 4 } };
    place(&m, nodes, (const int[]){ 2, 0, 3, 1 }, 4);
    reorder(&m, nodes, 4);
    assert_int_equal(model_value(&m, "reorder_actual_bytes"), 984);
    assert_int_equal(model_value(&m, "reorder_best_bytes"), 984); /* no other order is allowed */
    assert_int_equal(model_value(&m, "reorder_one_pass_bytes"), 320);
    assert_int_equal(model_value(&m, "reorder_blocks"), 5);
    model_end(&m);
}

/* The smallest distance over all legal orders, one by one. */
static int64_t try_all(const struct node * nodes, const int * slots, uint32_t n, uint32_t done, int64_t at) {
    int64_t best = done == (1u << n) - 1 ? 0 : INT64_MAX;
    for (uint32_t i = 0; i < n; i++) {
        if (done >> i & 1 || nodes[i].after & ~done) { continue; }
        const int64_t from = SLOT * (slots[i] + 1);
        const int64_t sum = llabs(from - at) + try_all(nodes, slots, n, done | 1u << i, from + WEIGHT);
        if (sum < best) { best = sum; }
    }
    return best;
}

static void test_reorder_all_orders(void ** state) {
    (void) state;
    enum { N = 7, GRAPHS = 60 };
    uint64_t seed = 3;
    int gain = 0;
    for (int g = 0; g < GRAPHS; g++) {
        struct model m;
        struct node nodes[N] = { 0 };
        int slots[N];
        for (int i = 0; i < N; i++) {
            const int other = (int) random_below(&seed, (uint32_t) i + 1);
            slots[i] = slots[other];
            slots[other] = i;
        }
        for (uint32_t i = 1; i < N; i++) {
            if (g % 4 == 3) { nodes[i].after = i < 2 ? 0 : i % 2 ? 3u << (i - 3) : 3u << (i - 2); } /* two by two */
            for (int k = 0; g % 4 < 3 && k < g % 4; k++) { nodes[i].after |= 1u << random_below(&seed, i); }
        }
        place(&m, nodes, slots, N);
        reorder(&m, nodes, N);
        assert_int_equal(model_value(&m, "reorder_best_bytes"), try_all(nodes, slots, N, 0, ROW));
        assert_true(json_is_true(json_object_get(json_object_get(m.order, "values"), "reorder_exact")));
        gain += model_value(&m, "reorder_best_bytes") < model_value(&m, "reorder_actual_bytes");
        model_end(&m);
    }
    assert_true(gain > GRAPHS / 2);
}

/* There are too many to try all orders, so the nearest comes next; from the beginning of the file, that is file
 * order. */
static void test_reorder_many(void ** state) {
    (void) state;
    enum { N = 30 };
    struct model m;
    struct node nodes[N] = { 0 };
    int slots[N];
    for (int i = 0; i < N; i++) { slots[i] = i * 11 % N; }
    place(&m, nodes, slots, N);
    reorder(&m, nodes, N);
    assert_true(json_is_false(json_object_get(json_object_get(m.order, "values"), "reorder_exact")));
    assert_int_equal(model_value(&m, "reorder_best_bytes"), model_value(&m, "reorder_one_pass_bytes"));
    assert_int_equal(model_value(&m, "reorder_one_pass_bytes"), 68 + (N - 1) * 84);
    model_end(&m);
}

/* w1 is read to fill the cache, and w0 with what was read from it. No source shows this, but the cache does. */
static void test_reorder_cache(void ** state) {
    (void) state;
    for (int through_cache = 0; through_cache < 2; through_cache++) {
        struct model m;
        struct node nodes[2] = { 0 };
        place(&m, nodes, (const int[]){ 0, 1 }, 2);
        const uint32_t cache = tb_tensor(&m.b, (struct tb_tensor){ .name = "cache_k_l0",
                                                                   .kind = TAT_TENSOR_STATE,
                                                                   .memory = TAT_MEMORY_KV,
                                                                   .type = "i8",
                                                                   .block = 1,
                                                                   .block_bytes = 1,
                                                                   .ne = { 16, 4 } });
        const struct tb_entry e[] = {
            { .name = "token_embd.weight", .type = "i8", .tensor = m.embd, .ne = { ROW, 64 } },
            { .name = "inp_tokens", .type = "i8", .tensor = m.ids, .ne = { 1 } },
            { .name = "w0", .type = "i8", .tensor = nodes[0].weight, .ne = { WEIGHT } },
            { .name = "w1", .type = "i8", .tensor = nodes[1].weight, .ne = { WEIGHT } },
            { .name = "cache_k_l0", .type = "i8", .tensor = cache, .ne = { 16, 4 } },
            { .name = "inp_embd",
              .op = "GET_ROWS",
              .type = "i8",
              .tensor = m.result[0],
              .ne = { ROW },
              .facts = ASKED,
              .src = { 1, 2 } },
            { .name = "k",
              .op = "MUL_MAT",
              .type = "i8",
              .tensor = m.result[1],
              .ne = { 16 },
              .facts = ASKED,
              .src = { 4, 6 } },
            { .name = "written",
              .op = "CPY",
              .type = "i8",
              .tensor = cache,
              .ne = { 16 },
              .facts = ASKED,
              .src = { 7, 5 } },
            { .name = "kq",
              .op = "MUL_MAT",
              .type = "i8",
              .tensor = m.result[2],
              .ne = { 4 },
              .facts = ASKED,
              .src = { through_cache ? 5 : 6, 6 } },
            { .name = "result_output",
              .op = "MUL_MAT",
              .type = "i8",
              .tensor = m.result[3],
              .ne = { 1 },
              .facts = ASKED,
              .src = { 3, 9 } },
        };
        const struct tb_capture capture = { TAT_CAPTURE_ROWS, 1, 0, 1 };
        const uint32_t t = tb_template(&m.b, 1, e, 5, 5, &capture, 1);
        model_run(&m, t, 4, 0, NULL, 0);
        model_run(&m, t, 4, 0, NULL, 0);
        model_ask(&m);
        assert_int_equal(model_value(&m, "reorder_actual_bytes"), 168 + 116);
        assert_int_equal(model_value(&m, "reorder_best_bytes"), through_cache ? 168 + 116 : 68 + 84);
        model_end(&m);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reorder_independent), cmocka_unit_test(test_reorder_chain),
        cmocka_unit_test(test_reorder_all_orders),  cmocka_unit_test(test_reorder_many),
        cmocka_unit_test(test_reorder_cache),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
