/* SPDX-License-Identifier: MIT
 *
 * Arrays of the caller's: access records, tokens and chosen experts, against a small graph whose answers are known.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "trace_builder.h"

enum { TOKENS = 2, USED = 2, EXPERTS = 4, ASKED = TAT_NODE_COMPUTE, RULE = TAT_RULE_SKIP_EMPTY };

struct tensors {
    uint32_t embd, up, data, ids;
};

static struct tensors add_tensors(struct trace_builder * b) {
    struct tensors t;
    t.embd = tb_tensor(b, (struct tb_tensor){ .name = "token_embd.weight",
                                              .kind = TAT_TENSOR_WEIGHT,
                                              .memory = TAT_MEMORY_FILE,
                                              .ne = { 8, 100 },
                                              .file = 1 });
    t.up = tb_tensor(b, (struct tb_tensor){ .name = "blk.3.ffn_up_exps.weight",
                                            .kind = TAT_TENSOR_WEIGHT,
                                            .memory = TAT_MEMORY_FILE,
                                            .ne = { 8, 4, EXPERTS },
                                            .file = 1,
                                            .file_offset = 4096 });
    t.data = tb_tensor(
        b,
        (struct tb_tensor){ .name = "data", .kind = TAT_TENSOR_ACTIVATION, .memory = TAT_MEMORY_BUFFER, .ne = { 64 } });
    t.ids = tb_tensor(b, (struct tb_tensor){ .name = "ids",
                                             .kind = TAT_TENSOR_INPUT,
                                             .memory = TAT_MEMORY_BUFFER,
                                             .type = "i32",
                                             .block = 1,
                                             .block_bytes = 4,
                                             .ne = { 64 } });
    return t;
}

/* Two tokens are looked up. Each goes to two of four experts of layer 3, weighted by a gate. */
static uint32_t add_graph(struct trace_builder * b) {
    const struct tensors of = add_tensors(b);
    const struct tb_entry entries[] = {
        { .name = "token_embd.weight", .tensor = of.embd, .ne = { 8, 100 } },
        { .name = "inp_tokens", .type = "i32", .tensor = of.ids, .ne = { TOKENS } },
        { .name = "inp_pos", .type = "i32", .tensor = of.ids, .ne = { TOKENS } },
        { .name = "blk.3.ffn_up_exps.weight", .tensor = of.up, .ne = { 8, 4, EXPERTS } },
        { .name = "ffn_moe_topk-3", .type = "i32", .tensor = of.ids, .ne = { USED, TOKENS } },
        { .name = "ffn_moe_weights-3", .tensor = of.data, .ne = { 1, USED, TOKENS } },
        { .name = "embd", .op = "GET_ROWS", .tensor = of.data, .ne = { 8, TOKENS }, .facts = ASKED, .src = { 1, 2 } },
        { .name = "Qcur-3", .op = "ROPE", .tensor = of.data, .ne = { 8, TOKENS }, .facts = ASKED, .src = { 7, 3 } },
        { .name = "ffn_moe_up-3",
          .op = "MUL_MAT_ID",
          .tensor = of.data,
          .ne = { 4, USED, TOKENS },
          .facts = ASKED,
          .src = { 4, 8, 5 } },
        { .name = "ffn_moe_weighted-3",
          .op = "MUL",
          .tensor = of.data,
          .ne = { 4, USED, TOKENS },
          .facts = ASKED,
          .src = { 9, 6 } },
    };
    const struct tb_capture captures[] = { { TAT_CAPTURE_ROWS, 1, 0, 1 },
                                           { TAT_CAPTURE_POSITIONS, 2, 1, 1 },
                                           { TAT_CAPTURE_EXPERTS, 4, 2, 2 },
                                           { TAT_CAPTURE_GATES, 5, 3, 1 } };
    return tb_template(b, 1, entries, 6, 4, captures, 4);
}

static void evaluate(struct trace_builder * b, uint32_t t, const int64_t * ids, const int64_t * positions,
                     const uint32_t * experts, const float * gates) {
    struct payload p;
    payload_begin(&p);
    tb_put_series(&p.out, ids, TOKENS);
    tb_put_series(&p.out, positions, TOKENS);
    tb_put_each(&p.out, experts, TOKENS * USED);
    tat_put_varint(&p.out, TOKENS * USED);
    tat_put_bytes(&p.out, gates, TOKENS * USED * sizeof *gates);
    tb_evaluation(b, (struct tb_evaluation){ .template_id = t,
                                             .rule = RULE,
                                             .n_callbacks = 4,
                                             .captures = p.bytes,
                                             .captures_bytes = (size_t) (p.out.at - p.bytes) });
}

/* Three evaluations; the last one has no captures. */
static struct tat_trace * open_three(struct trace_builder * b) {
    struct tat_error error = { 0 };
    tb_begin(b);
    tb_model_file(b, "/model.gguf");
    const uint32_t t = add_graph(b);
    evaluate(b, t, (const int64_t[]){ 7, 9 }, (const int64_t[]){ 0, 1 }, (const uint32_t[]){ 3, 0, 1, 3 },
             (const float[]){ 0.75F, 0.25F, 0.5F, 0.5F });
    evaluate(b, t, (const int64_t[]){ 5, INT64_MAX }, (const int64_t[]){ 2, 3 }, (const uint32_t[]){ 2, 70000, 2, 1 },
             (const float[]){ 1, 0, 0.5F, 0.125F });
    tb_evaluation(b, (struct tb_evaluation){ .template_id = t, .rule = RULE, .n_callbacks = 4 });
    tb_end(b);
    struct tat_trace * trace = tb_open(b, &error);
    if (!trace) { fail_msg("%s", error.message); }
    assert_int_equal(tat_trace_summary(trace)->undecodable_blocks, 0);
    return trace;
}

static size_t count_of(const struct tat_trace * trace, uint32_t first, uint32_t last, const struct tat_choice * c) {
    size_t count = 99;
    assert_int_equal(tat_trace_accesses(trace, first, last, c, NULL, 0, &count, NULL), 0);
    return count;
}

struct all {
    struct tat_access at[256];
    size_t count;
};

static bool keep(const struct tat_access * records, size_t count, void * user) {
    struct all * all = user;
    memcpy(all->at + all->count, records, count * sizeof *records);
    all->count += count;
    return true;
}

static void test_accesses(void ** state) {
    (void) state;
    static struct all all;
    static struct tat_access some[256];
    struct trace_builder b;
    struct tat_trace * trace = open_three(&b);
    size_t count;
    assert_int_equal(tat_trace_expand(trace, 0, 3, keep, &all, NULL), 0);
    assert_int_equal(count_of(trace, 0, UINT32_MAX, NULL), all.count);
    assert_int_equal(count_of(trace, 0, 1, NULL) + count_of(trace, 1, 3, NULL), all.count);
    assert_int_equal(count_of(trace, 3, 9, NULL), 0);
    assert_int_equal(tat_trace_accesses(trace, 0, 3, NULL, some, 256, &count, NULL), 0);
    assert_int_equal(count, all.count);
    assert_memory_equal(some, all.at, count * sizeof *some);
    /* Not more than there is room for. */
    memset(some, 0, sizeof some);
    assert_int_equal(tat_trace_accesses(trace, 0, 3, NULL, some, 5, &count, NULL), 0);
    assert_int_equal(count, all.count);
    assert_memory_equal(some, all.at, 5 * sizeof *some);
    assert_int_equal(some[5].bytes, 0);
    tat_trace_close(trace);
    tb_free(&b);
}

static void test_choice(void ** state) {
    (void) state;
    static struct all all;
    static struct tat_access some[256];
    static bool layers[TAT_NO_LAYER + 1], experts[TAT_NO_EXPERT + 1];
    struct trace_builder b;
    struct tat_trace * trace = open_three(&b);
    bool evaluations[3] = { true, false, true }, tensors[4] = { false, true };
    size_t count, expected = 0;
    all.count = 0;
    assert_int_equal(tat_trace_expand(trace, 0, 3, keep, &all, NULL), 0);
    layers[3] = experts[3] = true;
    assert_int_equal(count_of(trace, 0, 3, &(struct tat_choice){ .evaluations = evaluations }),
                     all.count - count_of(trace, 1, 2, NULL));
    assert_int_equal(count_of(trace, 0, 3, &(struct tat_choice){ .experts = experts }), 1);
    const struct tat_choice both = { .tensors = tensors, .layers = layers, .evaluations = evaluations };
    assert_int_equal(tat_trace_accesses(trace, 0, 3, &both, some, 256, &count, NULL), 0);
    for (size_t i = 0; i < all.count; i++) {
        if (all.at[i].tensor != 1 || all.at[i].layer != 3 || all.at[i].evaluation == 1) { continue; }
        assert_memory_equal(&some[expected], &all.at[i], sizeof some[0]);
        expected++;
    }
    assert_int_equal(expected, 4); /* experts 0, 1 and 3; and one that bounds them where nothing was captured */
    assert_int_equal(count, expected);
    tat_trace_close(trace);
    tb_free(&b);
}

static void test_tokens(void ** state) {
    (void) state;
    struct trace_builder b;
    struct tat_trace * trace = open_three(&b);
    struct tat_token t[6] = { 0 };
    size_t count;
    assert_int_equal(tat_trace_tokens(trace, 0, 3, t, 6, &count, NULL), 0);
    assert_int_equal(count, 6);
    const struct tat_token expected[6] = {
        { 0, 0, 0, 7, 0 },
        { 0, 1, 1, 9, 1 },
        { 1, 0, 2, 5, 2 },
        { 1, 1, 3, TAT_NO_TOKEN_ID, 3 },
        { 2, 0, 4, TAT_NO_TOKEN_ID, TAT_NO_POSITION },
        { 2, 1, 5, TAT_NO_TOKEN_ID, TAT_NO_POSITION },
    };
    assert_memory_equal(t, expected, sizeof t);
    memset(t, 0, sizeof t);
    assert_int_equal(tat_trace_tokens(trace, 0, 9, t, 3, &count, NULL), 0); /* room for one row of the second */
    assert_int_equal(count, 6);
    assert_memory_equal(t, expected, 3 * sizeof t[0]);
    assert_int_equal(t[3].evaluation, 0);
    assert_int_equal(tat_trace_tokens(trace, 1, 2, NULL, 0, &count, NULL), 0);
    assert_int_equal(count, 2);
    tat_trace_close(trace);
    tb_free(&b);
}

static void test_routing(void ** state) {
    (void) state;
    struct trace_builder b;
    struct tat_trace * trace = open_three(&b);
    struct tat_selection s[8] = { 0 };
    size_t count;
    assert_int_equal(tat_trace_routing(trace, 0, 3, s, 8, &count, NULL), 0);
    assert_int_equal(count, 8);
    const struct tat_selection expected[8] = {
        { 0, 0, 0.75F, 3, 0, 3, 0 }, { 0, 0, 0.25F, 3, 1, 0, 0 },  { 0, 1, 0.5F, 3, 0, 1, 0 },
        { 0, 1, 0.5F, 3, 1, 3, 0 },  { 1, 0, 1, 3, 0, 2, 0 },      { 1, 0, 0, 3, 1, TAT_NO_EXPERT, 0 },
        { 1, 1, 0.5F, 3, 0, 2, 0 },  { 1, 1, 0.125F, 3, 1, 1, 0 },
    };
    assert_memory_equal(s, expected, sizeof s);
    memset(s, 0, sizeof s);
    assert_int_equal(tat_trace_routing(trace, 1, 2, s, 3, &count, NULL), 0);
    assert_int_equal(count, 4);
    assert_memory_equal(s, expected + 4, 3 * sizeof s[0]);
    assert_int_equal(s[3].evaluation, 0);
    tat_trace_close(trace);
    tb_free(&b);
}

/* A layer that routes picked rows: the second and the last of four; in a second evaluation, one that does not exist. */
static void test_routing_of_picked_rows(void ** state) {
    (void) state;
    enum { N = 4, PICKED = 2 };
    struct trace_builder b;
    struct tat_error error = { 0 };
    tb_begin(&b);
    tb_model_file(&b, "/model.gguf");
    const struct tensors of = add_tensors(&b);
    const struct tb_entry entries[] = {
        { .name = "token_embd.weight", .tensor = of.embd, .ne = { 8, 100 } },
        { .name = "inp_tokens", .type = "i32", .tensor = of.ids, .ne = { N } },
        { .name = "out_ids", .type = "i32", .tensor = of.ids, .ne = { PICKED } },
        { .name = "blk.3.ffn_up_exps.weight", .tensor = of.up, .ne = { 8, 4, EXPERTS } },
        { .name = "ffn_moe_topk-3", .type = "i32", .tensor = of.ids, .ne = { 1, PICKED } },
        { .name = "embd", .op = "GET_ROWS", .tensor = of.data, .ne = { 8, N }, .facts = ASKED, .src = { 1, 2 } },
        { .name = "picked", .op = "GET_ROWS", .tensor = of.data, .ne = { 8, PICKED }, .facts = ASKED, .src = { 6, 3 } },
        { .name = "ffn_moe_up-3",
          .op = "MUL_MAT_ID",
          .tensor = of.data,
          .ne = { 4, 1, PICKED },
          .facts = ASKED,
          .src = { 4, 7, 5 } },
    };
    const struct tb_capture captures[] = { { TAT_CAPTURE_ROWS, 1, 0, 1 },
                                           { TAT_CAPTURE_ROWS, 2, 1, 1 },
                                           { TAT_CAPTURE_EXPERTS, 4, 2, 2 } };
    const uint32_t t = tb_template(&b, 1, entries, 5, 3, captures, 3);
    for (int i = 0; i < 2; i++) {
        struct payload p;
        payload_begin(&p);
        tb_put_series(&p.out, (const int64_t[]){ 7, 8, 9, 10 }, N);
        tb_put_series(&p.out, (const int64_t[]){ 1, i == 0 ? 3 : N }, PICKED);
        tb_put_each(&p.out, (const uint32_t[]){ 2, 0 }, PICKED);
        tb_evaluation(&b, (struct tb_evaluation){ .template_id = t,
                                                  .rule = RULE,
                                                  .n_callbacks = 3,
                                                  .captures = p.bytes,
                                                  .captures_bytes = (size_t) (p.out.at - p.bytes) });
    }
    tb_end(&b);
    struct tat_trace * trace = tb_open(&b, &error);
    if (!trace) { fail_msg("%s", error.message); }
    assert_int_equal(tat_trace_summary(trace)->undecodable_blocks, 0);
    struct tat_selection s[4] = { 0 };
    size_t count;
    assert_int_equal(tat_trace_routing(trace, 0, 2, s, 4, &count, NULL), 0);
    assert_int_equal(count, 4);
    const uint32_t rows[4] = { 1, 3, 1, TAT_NO_ROW };
    for (int i = 0; i < 4; i++) { assert_int_equal(s[i].row, rows[i]); }
    tat_trace_close(trace);
    tb_free(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accesses),
        cmocka_unit_test(test_choice),
        cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_routing),
        cmocka_unit_test(test_routing_of_picked_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
