/* SPDX-License-Identifier: MIT
 *
 * The section on caching, of traces that make no sense, or little: an answer comes, soon.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "section.h"
#include "small_model.h"

/* Closes the trace. The caller owns the section. */
static json_t * caching_of(struct trace_builder * b, struct tat_trace * trace, uint64_t unit) {
    const struct tat_analysis_options options = { .memory_bytes = 500,
                                                  .disk_bytes_per_second = 1000,
                                                  .cache_unit = unit };
    return section_of(b, trace, "caching", &options);
}

static json_int_t value(const json_t * caching, const char * key) {
    const json_t * found = json_object_get(json_object_get(caching, "values"), key);
    assert_true(json_is_integer(found));
    return json_integer_value(found);
}

static void expect_headline(const json_t * caching, const char * text) {
    assert_string_equal(json_string_value(json_object_get(caching, "headline")), text);
}

static void test_empty(void ** state) {
    (void) state;
    struct trace_builder b = { 0 };
    struct small_model m;
    small_model_begin(&b, &m);
    json_t * caching = caching_of(&b, small_model_open(&b), TAT_CACHE_SLICE);
    expect_headline(caching, "Neither a prompt nor a generated token read a weight.");
    json_decref(caching);
}

/* Row 4, the projection, experts 1 and 2, the embedding; then the same with experts 2 and 3. */
static void test_two_tokens(void ** state) {
    (void) state;
    struct trace_builder b = { 0 };
    struct small_model m;
    small_model_begin(&b, &m);
    const uint32_t template_id = small_model_template(&b, &m, 1);
    small_model_evaluate(&b, template_id, (const int64_t[]){ 4 }, 1, (const uint32_t[]){ 1, 2 });
    small_model_evaluate(&b, template_id, (const int64_t[]){ 5 }, 1, (const uint32_t[]){ 2, 3 });
    json_t * caching = caching_of(&b, small_model_open(&b), TAT_CACHE_SLICE);
    const json_int_t whole = EMBD_BYTES + QUERY_BYTES;
    assert_int_equal(value(caching, "weight_bytes"), whole + 4 * EXPERT_BYTES);
    assert_int_equal(value(caching, "read_bytes"), 2 * (EMBD_ROW + whole + 2 * EXPERT_BYTES));
    assert_int_equal(value(caching, "touched_bytes"), whole + 3 * EXPERT_BYTES);
    assert_int_equal(value(caching, "row_bytes"), 2 * EMBD_ROW);
    assert_int_equal(value(caching, "item_reads"), 8);
    assert_int_equal(value(caching, "item_first_reads"), 5);
    assert_int_equal(value(caching, "first_bytes"), whole + 3 * EXPERT_BYTES);
    assert_int_equal(value(caching, "repeat_bytes"), whole + EXPERT_BYTES);
    json_decref(caching);
}

static const char * answer(const json_t * caching, const char * question) {
    size_t i;
    const json_t * a;
    json_array_foreach(json_object_get(caching, "answers"), i, a) {
        if (strcmp(json_string_value(json_object_get(a, "question")), question) == 0) {
            return json_string_value(json_object_get(a, "answer"));
        }
    }
    fail_msg("'%s' is not answered", question);
    return "";
}

/* The prompt and two of three generated tokens read one expert only: 4/3 of an expert on average. */
static void test_means_are_rounded(void ** state) {
    (void) state;
    struct trace_builder b = { 0 };
    struct small_model m;
    char text[64];
    small_model_begin(&b, &m);
    const uint32_t template_id = small_model_template(&b, &m, 1);
    for (uint32_t token = 0; token < 4; token++) {
        small_model_evaluate(&b, template_id, (const int64_t[]){ 4 }, 1, (const uint32_t[]){ 1, token == 1 ? 2 : 1 });
    }
    json_t * caching = caching_of(&b, small_model_open(&b), TAT_CACHE_SLICE);
    const double mean = EMBD_BYTES + QUERY_BYTES + 4 / 3.0 * EXPERT_BYTES;
    assert_true(mean < 1000 && mean - (int) mean > 0.5);
    snprintf(text, sizeof text, " reads %d B ", (int) mean + 1);
    assert_non_null(strstr(answer(caching, "How large is the working set?"), text));
    json_decref(caching);
}

static void test_one_token(void ** state) {
    (void) state;
    struct trace_builder b = { 0 };
    struct small_model m;
    small_model_begin(&b, &m);
    small_model_evaluate(&b, small_model_template(&b, &m, 1), (const int64_t[]){ 4 }, 1, (const uint32_t[]){ 1, 2 });
    json_t * caching = caching_of(&b, small_model_open(&b), TAT_CACHE_SLICE);
    expect_headline(caching, "No weight is read twice: a cache has nothing to save.");
    assert_true(json_is_false(json_object_get(json_object_get(caching, "values"), "limited")));
    json_decref(caching);
}

/* Weights of any size, anywhere, each read twice by two graphs. */
static void test_absurd_weights(void ** state) {
    (void) state;
    static const uint64_t sizes[] = { 1, 1000, (uint64_t) 1 << 40, (uint64_t) 1 << 62, UINT64_MAX - 5, UINT64_MAX };
    static const uint64_t offsets[] = { 0, (1 << 20) - 1, (uint64_t) 1 << 43, UINT64_MAX - 3, UINT64_MAX };
    enum { SIZES = sizeof sizes / sizeof sizes[0], OFFSETS = sizeof offsets / sizeof offsets[0] };
    size_t answered = 0;
    for (size_t number = 0; number < SIZES * OFFSETS * 3; number++) {
        const uint64_t size = sizes[number % SIZES], offset = offsets[number / SIZES % OFFSETS];
        const uint32_t file = (uint32_t) (number / SIZES / OFFSETS); /* none, one that is there, one that is not */
        struct trace_builder b = { 0 };
        struct tat_error error;
        tb_begin(&b);
        tb_model_file(&b, "/model.gguf");
        struct tb_tensor t = {
            .kind = TAT_TENSOR_WEIGHT, .memory = TAT_MEMORY_FILE, .file = file, .file_offset = offset
        };
        t.name = "a";
        t.ne[0] = size / 4 + 1;
        t.bytes = size;
        const uint32_t w = tb_tensor(&b, t);
        t.name = "b";
        const uint32_t v = tb_tensor(&b, t);
        t = (struct tb_tensor){ .kind = TAT_TENSOR_INPUT, .memory = TAT_MEMORY_BUFFER, .ne = { 16 } };
        t.name = "inp_embd";
        const uint32_t x = tb_tensor(&b, t);
        const struct tb_entry entries[] = {
            { .name = "inp_embd", .tensor = x, .ne = { 16 } },
            { .name = "a", .tensor = w, .ne = { size / 4 + 1 } },
            { .name = "b", .tensor = v, .ne = { 1, size / 4 + 1, 3 } },
            { .name = "x", .op = "MUL_MAT", .tensor = x, .ne = { 16 }, .facts = TAT_NODE_COMPUTE, .src = { 2, 1 } },
            { .name = "y", .op = "MUL_MAT_ID", .tensor = x, .ne = { 16 }, .facts = TAT_NODE_COMPUTE, .src = { 3, 1 } },
            { .name = "z", .op = "MUL_MAT", .tensor = x, .ne = { 16 }, .facts = TAT_NODE_COMPUTE, .src = { 2, 3 } },
        };
        const uint32_t template_id = tb_template(&b, 1, entries, 3, 3, NULL, 0);
        for (int i = 0; i < 2; i++) {
            tb_evaluation(&b, (struct tb_evaluation){ .template_id = template_id, .n_callbacks = 3 });
        }
        tb_end(&b);
        struct tat_trace * trace = tb_open(&b, &error);
        assert_non_null(trace);
        json_t * caching = caching_of(&b, trace, TAT_CACHE_SLICE);
        answered += json_object_get(caching, "values") != NULL;
        json_decref(caching);
    }
    assert_true(answered > SIZES * OFFSETS); /* the reader makes no graph of the others' tensors */
}

/* Stacks with millions of experts, of which two are read. */
static void test_absurd_stacks(void ** state) {
    (void) state;
    enum { STACKS = 60, EXPERTS = 65535 };
    static const char * const name = "blk.0.ffn_up_exps.weight";
    struct trace_builder b = { 0 };
    struct tb_entry entries[2 + STACKS + 1];
    struct tat_error error;
    tb_begin(&b);
    const uint32_t x = tb_tensor(
        &b,
        (struct tb_tensor){ .name = "inp_embd", .kind = TAT_TENSOR_INPUT, .memory = TAT_MEMORY_BUFFER, .ne = { 16 } });
    entries[0] = (struct tb_entry){ .name = "inp_embd", .tensor = x, .ne = { 16 } };
    for (uint32_t i = 0; i < STACKS; i++) {
        const uint32_t stack = tb_tensor(
            &b, (struct tb_tensor){
                    .name = name, .kind = TAT_TENSOR_WEIGHT, .memory = TAT_MEMORY_BUFFER, .ne = { 1, 1, EXPERTS } });
        entries[1 + i] = (struct tb_entry){ .name = name, .tensor = stack, .ne = { 1, 1, EXPERTS } };
    }
    for (uint32_t graph = 0; graph < STACKS; graph += 1) {
        struct tb_entry of_graph[1 + STACKS + 1];
        memcpy(of_graph, entries, (1 + STACKS) * sizeof entries[0]);
        of_graph[1 + STACKS] = (struct tb_entry){ .name = "y",
                                                  .op = "MUL_MAT_ID",
                                                  .tensor = x,
                                                  .ne = { 16 },
                                                  .facts = TAT_NODE_COMPUTE,
                                                  .src = { 2 + (int) graph, 1, 1 } };
        const uint32_t template_id = tb_template(&b, 1, of_graph, 1 + STACKS, 1, NULL, 0);
        tb_evaluation(&b, (struct tb_evaluation){ .template_id = template_id, .n_callbacks = 1 });
    }
    tb_end(&b);
    struct tat_trace * trace = tb_open(&b, &error);
    assert_non_null(trace);
    json_t * caching = caching_of(&b, trace, TAT_CACHE_SLICE);
    assert_int_equal(value(caching, "weight_bytes"), (json_int_t) STACKS * EXPERTS * 4);
    json_decref(caching);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),          cmocka_unit_test(test_two_tokens),
        cmocka_unit_test(test_one_token),      cmocka_unit_test(test_means_are_rounded),
        cmocka_unit_test(test_absurd_weights), cmocka_unit_test(test_absurd_stacks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
