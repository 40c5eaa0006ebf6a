/* SPDX-License-Identifier: MIT
 *
 * How far apart weights are read, and whether tokens read them in the same order, of models that were made for it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "order_model.h"

/* ---- gaps ---- */

/* One evaluation of weights of 16 bytes at these offsets, after an embedding that ends at ROW. */
static void read_at(struct model * m, const uint64_t * offsets, uint32_t n) {
    struct node nodes[NODES_MAX] = { 0 };
    model_begin(m, 0);
    for (uint32_t i = 0; i < n; i++) { nodes[i].weight = model_weight(m, (int) i, offsets[i]); }
    model_run(m, model_graph(m, nodes, n), n, 0, NULL, 0);
    model_ask(m);
}

static void expect_kinds(const struct model * m, int64_t sequential, int64_t near, int64_t random) {
    const json_t * all = model_row(m, "components", "component", "all");
    assert_int_equal(count_of(all, "sequential_accesses"), sequential);
    assert_int_equal(count_of(all, "near_accesses"), near);
    assert_int_equal(count_of(all, "random_accesses"), random);
    assert_int_equal(count_of(all, "sequential_bytes"), 16 * sequential);
    assert_int_equal(count_of(all, "near_bytes"), 16 * near);
    assert_int_equal(count_of(all, "random_bytes"), 16 * random);
    assert_int_equal(count_of(all, "first_accesses"), 1);
    assert_int_equal(count_of(all, "accesses"), 1 + sequential + near + random);
}

static void test_file_order(void ** state) {
    (void) state;
    struct model m;
    read_at(&m, (const uint64_t[]){ 32, 48, 64, 80 }, 4);
    expect_kinds(&m, 4, 0, 0);
    assert_int_equal(count_of(model_row(&m, "gaps", "distance", "none"), "forward"), 4);
    assert_int_equal(count_of(model_row(&m, "components", "component", "all"), "gap_bytes"), 0);
    model_end(&m);
}

/* 131,071 bytes are near and 131,072 are not, in either direction. */
static void test_near_and_random(void ** state) {
    (void) state;
    struct model m;
    enum {
        NEAR = 131071,
        FAR = 131072,
        A = 32 + NEAR,
        B = A + 16 + FAR,
        C = B + 16 - NEAR,
        D = C + 16 - FAR,
        E = D + 17
    };
    read_at(&m, (const uint64_t[]){ A, B, C, D, E }, 5);
    expect_kinds(&m, 0, 3, 2);
    const json_t * near = model_row(&m, "gaps", "distance", "64.0 KiB to 128 KiB");
    const json_t * far = model_row(&m, "gaps", "distance", "128 KiB to 256 KiB");
    const json_t * one = model_row(&m, "gaps", "distance", "1 B to 2 B");
    assert_int_equal(count_of(near, "forward"), 1);
    assert_int_equal(count_of(near, "backward"), 1);
    assert_int_equal(count_of(far, "forward"), 1);
    assert_int_equal(count_of(far, "backward"), 1);
    assert_int_equal(count_of(one, "forward"), 1);
    assert_int_equal(count_of(one, "backward"), 0);
    assert_int_equal(count_of(far, "from_bytes"), FAR);
    assert_int_equal(count_of(model_row(&m, "components", "component", "all"), "gap_bytes"), 2 * NEAR + 2 * FAR + 1);
    model_end(&m);
}

/* Each part of the model is looked at as if it were alone. */
static void test_a_part_by_itself(void ** state) {
    (void) state;
    struct model m;
    struct node nodes[4] = { 0 };
    model_begin(&m, 1 << 20);
    nodes[0].weight = model_tensor(&m, "blk.0.attn_q.weight", TAT_TENSOR_WEIGHT, 16, 1, 0);
    nodes[1].weight = model_tensor(&m, "blk.0.ffn_up.weight", TAT_TENSOR_WEIGHT, 16, 1, 1 << 19);
    nodes[2].weight = model_tensor(&m, "blk.1.attn_q.weight", TAT_TENSOR_WEIGHT, 16, 1, 16);
    nodes[3].weight = model_tensor(&m, "blk.1.ffn_up.weight", TAT_TENSOR_WEIGHT, 16, 1, (1 << 19) + 116);
    model_run(&m, model_graph(&m, nodes, 4), 4, 0, NULL, 0);
    model_ask(&m);
    expect_kinds(&m, 0, 0, 4);
    assert_int_equal(count_of(model_row(&m, "components", "component", "attn_q"), "sequential_accesses"), 1);
    assert_int_equal(count_of(model_row(&m, "components", "component", "ffn_up"), "near_accesses"), 1);
    assert_int_equal(count_of(model_row(&m, "components", "component", "ffn_up"), "gap_bytes"), 100);
    model_end(&m);
}

/* ---- same ---- */

static void test_same_order(void ** state) {
    (void) state;
    struct model m;
    struct node nodes[3] = { 0 };
    model_begin(&m, 0);
    for (int i = 0; i < 3; i++) { nodes[i].weight = model_weight(&m, i, 4096 + 16 * (uint64_t) i); }
    const uint32_t t = model_graph(&m, nodes, 3);
    for (int i = 0; i < 9; i++) { model_run(&m, t, 3, i % 5, NULL, 0); } /* tokens differ: their rows do not matter */
    model_ask(&m);
    assert_int_equal(model_value(&m, "generated_evaluations"), 8);
    assert_int_equal(model_value(&m, "compared_tokens"), 7);
    assert_int_equal(model_value(&m, "identical_by_tensor"), 7);
    assert_int_equal(model_value(&m, "identical_by_slice"), 7);
    assert_null(json_object_get(json_object_get(m.order, "values"), "first_different_tensor"));
    model_end(&m);
}

static void test_another_order(void ** state) {
    (void) state;
    struct model m;
    struct node nodes[3] = { 0 }, swapped[3] = { 0 };
    model_begin(&m, 0);
    for (int i = 0; i < 3; i++) { nodes[i].weight = model_weight(&m, i, 4096 + 16 * (uint64_t) i); }
    swapped[0] = nodes[0], swapped[1] = nodes[2], swapped[2] = nodes[1];
    const uint32_t t = model_graph(&m, nodes, 3), u = model_graph(&m, swapped, 3);
    model_run(&m, t, 3, 0, NULL, 0); /* the prompt */
    for (int i = 0; i < 3; i++) { model_run(&m, t, 3, 0, NULL, 0); }
    for (int i = 0; i < 2; i++) { model_run(&m, u, 3, 0, NULL, 0); }
    model_ask(&m);
    assert_int_equal(model_value(&m, "compared_tokens"), 4);
    assert_int_equal(model_value(&m, "identical_by_tensor"), 3);
    assert_int_equal(model_value(&m, "identical_by_slice"), 3);
    const json_t * first = json_object_get(json_object_get(m.order, "values"), "first_different_slice");
    assert_int_equal(count_of(first, "evaluation"), 4);
    assert_int_equal(count_of(first, "token"), 4);
    assert_int_equal(count_of(first, "access"), 3); /* after the embedding and w0 */
    assert_string_equal(json_string_value(json_object_get(json_object_get(first, "expected"), "tensor")), "w1");
    assert_string_equal(json_string_value(json_object_get(json_object_get(first, "actual"), "tensor")), "w2");
    model_end(&m);
}

static void test_another_slice(void ** state) {
    (void) state;
    struct model m;
    struct node node = { .chooses = true };
    model_begin(&m, 0);
    node.weight = model_tensor(&m, "blk.0.ffn_up_exps.weight", TAT_TENSOR_WEIGHT, 16, 8, 4096);
    const uint32_t t = model_graph(&m, &node, 1);
    for (uint32_t i = 0; i < 5; i++) { model_run(&m, t, 1, 0, (const uint32_t[]){ i < 3 ? 5 : 2 }, 1); }
    model_ask(&m);
    assert_int_equal(model_value(&m, "compared_tokens"), 3);
    assert_int_equal(model_value(&m, "identical_by_tensor"), 3);
    assert_int_equal(model_value(&m, "identical_by_slice"), 2);
    const json_t * first = json_object_get(json_object_get(m.order, "values"), "first_different_slice");
    assert_int_equal(count_of(first, "access"), 2);
    assert_int_equal(count_of(json_object_get(first, "expected"), "expert"), 5);
    assert_int_equal(count_of(json_object_get(first, "actual"), "expert"), 2);
    assert_int_equal(count_of(json_object_get(first, "actual"), "offset"), 4096 + 2 * 16);
    model_end(&m);
}

/* ---- nothing ---- */

static void test_nothing_to_say(void ** state) {
    (void) state;
    struct model m;
    model_begin(&m, 0);
    model_ask(&m);
    assert_true(json_is_true(json_object_get(m.order, "absent")));
    assert_int_equal(model_value(&m, "generated_evaluations"), 0);
    model_end(&m);
}

static void test_one_token(void ** state) {
    (void) state;
    struct model m;
    struct node node = { 0 };
    model_begin(&m, 0);
    node.weight = model_weight(&m, 0, 4096);
    const uint32_t t = model_graph(&m, &node, 1);
    model_run(&m, t, 1, 0, NULL, 0);
    model_run(&m, t, 1, 1, NULL, 0);
    model_ask(&m);
    assert_int_equal(model_value(&m, "generated_evaluations"), 1);
    assert_int_equal(model_value(&m, "compared_tokens"), 0);
    assert_int_equal(model_value(&m, "scored_slices"), 0);
    assert_int_equal(model_value(&m, "reordered_tokens"), 1);
    model_end(&m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_file_order),       cmocka_unit_test(test_near_and_random),
        cmocka_unit_test(test_a_part_by_itself), cmocka_unit_test(test_same_order),
        cmocka_unit_test(test_another_order),    cmocka_unit_test(test_another_slice),
        cmocka_unit_test(test_nothing_to_say),   cmocka_unit_test(test_one_token),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
