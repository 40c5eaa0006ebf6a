/* SPDX-License-Identifier: MIT
 *
 * Slices: a weight each, an expert each of a stack.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "analysis/slices.h"
#include "small_model.h"

static void experts_have_one_each(void ** state) {
    (void) state;
    struct trace_builder b;
    struct small_model m;
    struct slices s;
    small_model_begin(&b, &m);
    small_model_template(&b, &m, 1);
    small_model_template(&b, &m, 2); /* the same stack again */
    struct tat_trace * trace = small_model_open(&b);
    struct subject subject;
    assert_true(subject_begin(&subject, trace, NULL));
    assert_true(slices_find(&s, &subject));

    assert_int_equal(s.count, 2 + N_EXPERTS);
    assert_int_equal(s.lumped, 0);
    assert_int_equal(slices_of(&s, m.embd), 1);
    assert_int_equal(slices_of(&s, m.experts), N_EXPERTS);
    assert_int_equal(slices_of(&s, m.tokens), 0);
    assert_int_equal(slices_of(&s, m.results[3]), 0);
    assert_int_equal(s.tensor[s.first[m.experts] + 3], m.experts);
    assert_int_equal(slice_bytes(&s, &subject, s.first[m.experts] + 3), EXPERT_BYTES);
    assert_int_equal(slice_bytes(&s, &subject, s.first[m.query]), QUERY_BYTES);
    assert_int_equal(slice_expert(&s, s.first[m.experts] + 3), 3);
    assert_int_equal(slice_expert(&s, s.first[m.query]), TAT_NO_EXPERT);

    struct tat_access a = { .tensor = m.experts, .expert = 2 };
    assert_int_equal(slice_of(&s, &a), s.first[m.experts] + 2);
    a.expert = TAT_NO_EXPERT; /* ids were not captured */
    assert_int_equal(slice_of(&s, &a), NO_SLICE);
    a.expert = N_EXPERTS; /* none of these */
    assert_int_equal(slice_of(&s, &a), NO_SLICE);
    a = (struct tat_access){ .tensor = m.query, .expert = TAT_NO_EXPERT };
    assert_int_equal(slice_of(&s, &a), s.first[m.query]);
    a.tensor = m.tokens;
    assert_int_equal(slice_of(&s, &a), NO_SLICE);
    slices_free(&s);
    subject_free(&subject);
    tat_trace_close(trace);
    tb_free(&b);
}

/* One node with a stack of `experts` experts; `op` decides along which dimension they are stacked. */
static struct tat_trace * stack(struct trace_builder * b, const char * op, uint64_t experts) {
    const bool biases = strcmp(op, "ADD_ID") == 0;
    const uint64_t n1 = biases ? experts : 1, n2 = biases ? 1 : experts;
    struct tb_tensor tensor = {
        .name = "stack", .kind = TAT_TENSOR_WEIGHT, .memory = TAT_MEMORY_FILE, .ne = { 2, n1, n2 }, .file = 1
    };
    tb_begin(b);
    tb_model_file(b, "/model.gguf");
    const uint32_t weight = tb_tensor(b, tensor);
    tensor = (struct tb_tensor){ .name = "x", .kind = TAT_TENSOR_ACTIVATION, .memory = TAT_MEMORY_BUFFER, .ne = { 8 } };
    const uint32_t x = tb_tensor(b, tensor);
    const struct tb_entry entries[] = {
        { .name = "stack", .tensor = weight, .ne = { 2, n1, n2 } },
        { .name = "x", .tensor = x, .ne = { 2 } },
        { .name = "y",
          .op = op,
          .tensor = x,
          .ne = { 2 },
          .facts = TAT_NODE_COMPUTE,
          .src = { biases ? 2 : 1, biases ? 1 : 2, 2 } },
    };
    tb_template(b, 1, entries, 2, 1, NULL, 0);
    return small_model_open(b);
}

static void expect_stack(const char * op, uint64_t experts, uint32_t slices, uint32_t lumped) {
    struct trace_builder b;
    struct slices s;
    struct tat_trace * trace = stack(&b, op, experts);
    struct subject subject;
    assert_true(subject_begin(&subject, trace, NULL));
    assert_true(slices_find(&s, &subject));
    assert_int_equal(s.count, slices);
    assert_int_equal(s.lumped, lumped);
    slices_free(&s);
    subject_free(&subject);
    tat_trace_close(trace);
    tb_free(&b);
}

static void stacks_of_matrices_and_rows(void ** state) {
    (void) state;
    expect_stack("MUL_MAT_ID", 6, 6, 0);
    expect_stack("ADD_ID", 6, 6, 0);
    expect_stack("MUL_MAT", 6, 1, 0);
    expect_stack("MUL_MAT_ID", 1, 1, 0);
}

static void too_many_experts_are_one(void ** state) {
    (void) state;
    expect_stack("MUL_MAT_ID", TAT_NO_EXPERT, TAT_NO_EXPERT, 0);
    expect_stack("MUL_MAT_ID", TAT_NO_EXPERT + 1, 1, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(experts_have_one_each),
        cmocka_unit_test(stacks_of_matrices_and_rows),
        cmocka_unit_test(too_many_experts_are_one),
    };
    return cmocka_run_group_tests_name("slices", tests, NULL, NULL);
}
