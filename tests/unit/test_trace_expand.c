/* SPDX-License-Identifier: MIT
 *
 * Access records of small graphs, against what the operations touch.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "trace_builder.h"

enum { RECORDS_MAX = 256 };

enum { ALL_RULES = TAT_RULE_SKIP_EMPTY | TAT_RULE_SKIP_UNASKED | TAT_RULE_FUSE_NORM, ASKED = TAT_NODE_COMPUTE };

struct records {
    struct tat_access at[RECORDS_MAX];
    size_t count;
};

static bool keep(const struct tat_access * records, size_t count, void * user) {
    struct records * all = user;
    assert_true(all->count + count <= RECORDS_MAX);
    memcpy(all->at + all->count, records, count * sizeof *records);
    all->count += count;
    return true;
}

static struct tat_trace * open_good(struct trace_builder * b) {
    struct tat_error error = { 0 };
    tb_end(b);
    struct tat_trace * trace = tb_open(b, &error);
    if (!trace) { fail_msg("%s", error.message); }
    assert_int_equal(tat_trace_summary(trace)->undecodable_blocks, 0);
    assert_int_equal(tat_trace_summary(trace)->damaged_bytes, 0);
    return trace;
}

static struct tat_trace * expand_all(struct trace_builder * b, struct records * records) {
    struct tat_error error = { 0 };
    struct tat_trace * trace = open_good(b);
    records->count = 0;
    if (tat_trace_expand(trace, 0, UINT32_MAX, keep, records, &error) != 0) { fail_msg("%s", error.message); }
    return trace;
}

/* What a record must say. `rows` 0: not checked. */
struct expected {
    uint32_t node;
    uint8_t operand;
    uint64_t offset, bytes;
    uint32_t rows;
    uint16_t flags, expert;
};

static void expect(const struct records * records, const struct expected * expected, size_t count) {
    const uint16_t mask = (1u << TAT_ACCESS_PHASE_SHIFT) - 1;
    if (records->count != count) { fail_msg("%zu records, expected %zu", records->count, count); }
    for (size_t i = 0; i < count; i++) {
        const struct tat_access * a = &records->at[i];
        const struct expected * x = &expected[i];
        if (a->node != x->node || a->operand != x->operand || a->offset != x->offset || a->bytes != x->bytes ||
            (x->rows && a->rows != x->rows) || (a->flags & mask) != x->flags || a->expert != x->expert) {
            fail_msg("record %zu: node %u operand %u offset %d bytes %d rows %u flags %x expert %x", i, a->node,
                     a->operand, (int) a->offset, (int) a->bytes, a->rows, a->flags & mask, a->expert);
        }
    }
}
#define EXPECT(records, ...)                                                                                           \
    expect(records, (const struct expected[]){ __VA_ARGS__ },                                                          \
           sizeof((const struct expected[]){ __VA_ARGS__ }) / sizeof(struct expected))

enum { WRITE = TAT_ACCESS_WRITE, NONE = TAT_NO_EXPERT };

static uint32_t weight(struct trace_builder * b, const char * name, uint64_t n0, uint64_t n1, uint64_t n2,
                       uint64_t offset) {
    return tb_file_weight(b, name, (const uint64_t[]){ n0, n1, n2 }, offset);
}

static uint32_t result(struct trace_builder * b, const char * name, uint64_t n0, uint64_t n1, uint64_t n2) {
    return tb_tensor(
        b, (struct tb_tensor){
               .name = name, .kind = TAT_TENSOR_ACTIVATION, .memory = TAT_MEMORY_BUFFER, .ne = { n0, n1, n2 } });
}

static uint32_t ids_tensor(struct trace_builder * b, const char * name, uint64_t n0, uint64_t n1) {
    return tb_tensor(b, (struct tb_tensor){ .name = name,
                                            .kind = TAT_TENSOR_INPUT,
                                            .memory = TAT_MEMORY_BUFFER,
                                            .type = "i32",
                                            .block = 1,
                                            .block_bytes = 4,
                                            .ne = { n0, n1 } });
}

static void begin(struct trace_builder * b) {
    tb_begin(b);
    tb_model_file(b, "/model.gguf");
}

/* ---- row ids ---- */

static uint32_t rows_template(struct trace_builder * b, uint64_t n_ids) {
    const uint32_t embd = weight(b, "token_embd.weight", 8, 100, 1, 1000);
    const uint32_t ids = ids_tensor(b, "inp_tokens", n_ids, 1), out = result(b, "inp_embd", 8, n_ids, 1);
    const struct tb_entry entries[] = {
        { .name = "token_embd.weight", .tensor = embd, .ne = { 8, 100 } },
        { .name = "inp_tokens", .type = "i32", .tensor = ids, .ne = { n_ids } },
        { .name = "inp_embd", .op = "GET_ROWS", .tensor = out, .ne = { 8, n_ids }, .facts = ASKED, .src = { 1, 2 } },
    };
    const struct tb_capture capture = { TAT_CAPTURE_ROWS, 1, 0, 1 };
    return tb_template(b, 1, entries, 2, 1, &capture, 1);
}

static void add_rows(struct trace_builder * b, uint32_t t, const int64_t * ids, size_t n) {
    struct payload p;
    payload_begin(&p);
    if (n) { tb_put_series(&p.out, ids, n); }
    tb_evaluation(b, (struct tb_evaluation){ .template_id = t,
                                             .rule = ALL_RULES,
                                             .n_callbacks = 1,
                                             .captures = p.bytes,
                                             .captures_bytes = (size_t) (p.out.at - p.bytes) });
}

static void test_get_rows(void ** state) {
    (void) state;
    struct trace_builder b;
    struct records r;
    begin(&b);
    add_rows(&b, rows_template(&b, 5), (const int64_t[]){ 3, 9, 4, 5, 3 }, 5);
    struct tat_trace * trace = expand_all(&b, &r);
    EXPECT(&r, { 0, 1, 1000 + 3 * 32, 3 * 32, 1, 0, NONE }, { 0, 1, 1000 + 9 * 32, 32, 1, 0, NONE },
           { 0, 2, 0, 20, 1, 0, NONE }, { 0, 0, 0, 160, 1, WRITE, NONE });
    assert_int_equal(r.at[0].start_ns, 1000);
    assert_int_equal(r.at[0].duration_ns, TB_CALLBACK_NS);
    tat_trace_close(trace);
    tb_free(&b);
}

static void test_rows_at_equal_distances(void ** state) {
    (void) state;
    struct trace_builder b;
    struct records r;
    begin(&b);
    add_rows(&b, rows_template(&b, 4), (const int64_t[]){ 90, 30, 60, 0 }, 4);
    struct tat_trace * trace = expand_all(&b, &r);
    EXPECT(&r, { 0, 1, 1000, 4 * 32, 4, TAT_ACCESS_STRIDED, NONE }, { 0, 2, 0, 16, 1, 0, NONE },
           { 0, 0, 0, 128, 1, WRITE, NONE });
    const struct tat_layout layout = tat_trace_layout(trace, r.at[0].layout);
    assert_int_equal(layout.run_bytes, 32);
    assert_int_equal(layout.stride, 30 * 32);
    tat_trace_close(trace);
    tb_free(&b);
}

static void test_rows_that_are_not_there(void ** state) {
    (void) state;
    struct trace_builder b;
    struct records r;
    begin(&b);
    add_rows(&b, rows_template(&b, 4), (const int64_t[]){ -1, 100, INT64_MAX, 7 }, 4);
    struct tat_trace * trace = expand_all(&b, &r);
    EXPECT(&r, { 0, 1, 1000 + 7 * 32, 32, 1, 0, NONE }, { 0, 2, 0, 16, 1, 0, NONE }, { 0, 0, 0, 128, 1, WRITE, NONE });
    tat_trace_close(trace);
    tb_free(&b);
}

static void test_rows_not_captured(void ** state) {
    (void) state;
    struct trace_builder b;
    struct records r;
    begin(&b);
    add_rows(&b, rows_template(&b, 4), NULL, 0);
    struct tat_trace * trace = expand_all(&b, &r);
    assert_int_equal(r.count, 3);
    assert_true(r.at[0].flags & TAT_ACCESS_APPROXIMATE);
    assert_int_equal(r.at[0].offset, 1000);
    assert_true(r.at[0].bytes <= 100 * 32);
    tat_trace_close(trace);
    tb_free(&b);
}

/* V transposed: an id per element. 5 tokens of 128 elements are 640 ids, and 128 runs of 5 cells. */
static void test_set_rows_transposed(void ** state) {
    (void) state;
    enum { CELLS = 256, ELEMENTS = 128, TOKENS = 5, IDS = ELEMENTS * TOKENS };
    struct trace_builder b;
    struct records r;
    struct payload p;
    int64_t ids[IDS];
    begin(&b);
    const uint32_t cache = tb_tensor(
        &b, (struct tb_tensor){
                .name = "cache_v_l0", .kind = TAT_TENSOR_STATE, .memory = TAT_MEMORY_KV, .ne = { ELEMENTS, CELLS } });
    const uint32_t values = result(&b, "Vcur-0", 1, IDS, 1), rows = ids_tensor(&b, "attn_inp_v_idxs", IDS, 1);
    const struct tb_entry entries[] = {
        { .name = "cache_v_l0", .tensor = cache, .ne = { 1, ELEMENTS * CELLS } },
        { .name = "Vcur-0", .tensor = values, .ne = { 1, IDS } },
        { .name = "attn_inp_v_idxs", .type = "i32", .tensor = rows, .ne = { IDS } },
        { .name = "cache_v_l0 (view)",
          .op = "SET_ROWS",
          .tensor = cache,
          .ne = { 1, ELEMENTS * CELLS },
          .facts = ASKED,
          .src = { 2, 3, 1 } },
    };
    const struct tb_capture capture = { TAT_CAPTURE_ROWS, 2, 0, 1 };
    const uint32_t t = tb_template(&b, 1, entries, 3, 1, &capture, 1);
    for (int token = 0; token < TOKENS; token++) {
        for (int i = 0; i < ELEMENTS; i++) { ids[token * ELEMENTS + i] = (int64_t) i * CELLS + 40 + token; }
    }
    payload_begin(&p);
    tb_put_series(&p.out, ids, IDS);
    tb_evaluation(&b, (struct tb_evaluation){ .template_id = t,
                                              .rule = ALL_RULES,
                                              .n_callbacks = 1,
                                              .captures = p.bytes,
                                              .captures_bytes = (size_t) (p.out.at - p.bytes) });
    struct tat_trace * trace = expand_all(&b, &r);
    EXPECT(&r, { 0, 1, 0, IDS * 4, 1, 0, NONE }, { 0, 2, 0, IDS * 4, 1, 0, NONE },
           { 0, 3, 0, 0, 1, TAT_ACCESS_UNREAD, NONE },
           { 0, 0, 40 * 4, IDS * 4, ELEMENTS, WRITE | TAT_ACCESS_STRIDED, NONE });
    const struct tat_layout layout = tat_trace_layout(trace, r.at[3].layout);
    assert_int_equal(layout.run_bytes, TOKENS * 4);
    assert_int_equal(layout.stride, CELLS * 4);
    tat_trace_close(trace);
    tb_free(&b);
}

/* There are more rows than ids were captured; nothing may be read or looped over beyond the ids. */
static void test_shape_of_ids_that_lies(void ** state) {
    (void) state;
    struct trace_builder b;
    struct records r;
    struct payload p;
    begin(&b);
    const uint32_t embd = weight(&b, "token_embd.weight", 8, 100, 1, 1000), ids = ids_tensor(&b, "inp_tokens", 1, 1);
    const struct tb_entry entries[] = {
        { .name = "token_embd.weight", .tensor = embd, .ne = { 8, 100 } },
        { .name = "inp_tokens", .type = "i32", .tensor = ids, .ne = { UINT64_C(1) << 47 } },
        { .name = "inp_embd", .op = "GET_ROWS", .tensor = ids, .ne = { 8, 1 }, .facts = ASKED, .src = { 1, 2 } },
    };
    const struct tb_capture capture = { TAT_CAPTURE_ROWS, 1, 0, 1 };
    const uint32_t t = tb_template(&b, 1, entries, 2, 1, &capture, 1);
    payload_begin(&p);
    tb_put_series(&p.out, (const int64_t[]){ 7, 8 }, 2);
    tb_evaluation(&b, (struct tb_evaluation){ .template_id = t,
                                              .rule = ALL_RULES,
                                              .n_callbacks = 1,
                                              .captures = p.bytes,
                                              .captures_bytes = (size_t) (p.out.at - p.bytes) });
    alarm(10);
    struct tat_trace * trace = expand_all(&b, &r);
    alarm(0);
    assert_true(r.count >= 3);
    tat_trace_close(trace);
    tb_free(&b);
}

/* ---- experts ---- */

static bool sum_capture(uint32_t capture, const int64_t * values, size_t count, void * user) {
    assert_int_equal(capture, 0);
    for (size_t i = 0; i < count; i++) { *(size_t *) user += (size_t) values[i]; }
    return true;
}

static void test_expert_slices(void ** state) {
    (void) state;
    struct trace_builder b;
    struct records r;
    struct payload p;
    begin(&b);
    const uint32_t stack = weight(&b, "blk.3.ffn_up_exps.weight", 8, 4, 6, 4096), x = result(&b, "ffn_norm-3", 8, 3, 1);
    const uint32_t ids = ids_tensor(&b, "ffn_moe_topk-3", 6, 3), out = result(&b, "ffn_moe_up-3", 4, 2, 3);
    const struct tb_entry entries[] = {
        { .name = "blk.3.ffn_up_exps.weight", .tensor = stack, .ne = { 8, 4, 6 } },
        { .name = "ffn_norm-3", .tensor = x, .ne = { 8, 1, 3 } },
        { .name = "ffn_moe_topk-3", .type = "i32", .tensor = ids, .ne = { 2, 3 }, .nb = { 4, 24, 72, 72 } },
        { .name = "ffn_moe_up-3",
          .op = "MUL_MAT_ID",
          .tensor = out,
          .ne = { 4, 2, 3 },
          .facts = ASKED,
          .src = { 1, 2, 3 } },
    };
    const struct tb_capture capture = { TAT_CAPTURE_EXPERTS, 2, 0, 2 };
    const uint32_t t = tb_template(&b, 1, entries, 3, 1, &capture, 1);
    payload_begin(&p);
    tb_put_each(&p.out, (const uint32_t[]){ 5, 1, 1, 5, 0, 9 }, 6); /* there is no expert 9 */
    tb_evaluation(&b, (struct tb_evaluation){ .template_id = t,
                                              .rule = ALL_RULES,
                                              .n_callbacks = 1,
                                              .captures = p.bytes,
                                              .captures_bytes = (size_t) (p.out.at - p.bytes) });
    struct tat_trace * trace = expand_all(&b, &r);
    EXPECT(&r, { 0, 1, 4096, 128, 1, 0, 0 }, { 0, 1, 4096 + 128, 128, 1, 0, 1 }, { 0, 1, 4096 + 5 * 128, 128, 1, 0, 5 },
           { 0, 2, 0, 96, 1, 0, NONE }, { 0, 3, 0, 24, 3, TAT_ACCESS_STRIDED, NONE }, { 0, 0, 0, 96, 1, WRITE, NONE });
    for (size_t i = 0; i < r.count; i++) { assert_int_equal(r.at[i].layer, 3); }
    int64_t values[8];
    assert_int_equal(tat_trace_capture(trace, 0, 0, values, 8), 6);
    assert_int_equal(values[0], 5);
    assert_int_equal(values[5], 9);
    size_t seen = 0;
    assert_int_equal(tat_trace_each_capture(trace, 0, sum_capture, &seen, NULL), 0);
    assert_int_equal(seen, 5 + 1 + 1 + 5 + 0 + 9);
    tat_trace_close(trace);
    tb_free(&b);
}

/* ---- fusion, aborts, empty nodes ---- */

static uint32_t norm_template(struct trace_builder * b) {
    const uint32_t x = result(b, "x", 8, 2, 1), norm = result(b, "norm-0", 8, 2, 1), out = result(b, "out-0", 8, 2, 1);
    const uint32_t w = weight(b, "blk.0.attn_norm.weight", 8, 1, 1, 64);
    const struct tb_entry entries[] = {
        { .name = "x", .tensor = x, .ne = { 8, 2 } },
        { .name = "blk.0.attn_norm.weight", .tensor = w, .ne = { 8 } },
        { .name = "norm-0",
          .op = "RMS_NORM",
          .tensor = norm,
          .ne = { 8, 2 },
          .facts = ASKED | TAT_NODE_FUSES_NEXT,
          .src = { 1 } },
        { .name = "out-0", .op = "MUL", .tensor = out, .ne = { 8, 2 }, .facts = ASKED, .src = { 3, 2 } },
        { .name = "out-0 (view)",
          .op = "VIEW",
          .tensor = out,
          .ne = { 8 },
          .facts = ASKED | TAT_NODE_EMPTY,
          .src = { 4 } },
        { .name = "gone-0", .op = "SCALE", .tensor = out, .ne = { 8 }, .src = { 4 } },
        { .name = "none-0",
          .op = "MUL_MAT",
          .tensor = out,
          .ne = { 8 },
          .empty = true,
          .facts = ASKED,
          .src = { 2, 0, 5 } },
    };
    return tb_template(b, 1, entries, 2, 5, NULL, 0);
}

static void test_fused_pair(void ** state) {
    (void) state;
    struct trace_builder b;
    struct records r;
    begin(&b);
    tb_evaluation(&b, (struct tb_evaluation){ .template_id = norm_template(&b), .rule = ALL_RULES, .n_callbacks = 2 });
    struct tat_trace * trace = expand_all(&b, &r);
    EXPECT(&r, { 0, 1, 0, 64, 1, 0, NONE }, { 0, 0, 0, 0, 1, WRITE | TAT_ACCESS_FUSED, NONE },
           { 1, 1, 0, 0, 1, TAT_ACCESS_FUSED, NONE }, { 1, 2, 64, 32, 1, 0, NONE }, { 1, 0, 0, 64, 1, WRITE, NONE },
           { 4, 1, 64, 0, 1, TAT_ACCESS_UNREAD, NONE }, { 4, 3, 0, 0, 1, TAT_ACCESS_UNREAD, NONE },
           { 4, 0, 0, 0, 1, WRITE | TAT_ACCESS_UNREAD, NONE });
    for (size_t i = 0; i < 5; i++) { /* one callback; the first node has its time, or sums would count it twice */
        assert_int_equal(r.at[i].start_ns, 1000);
        assert_int_equal(r.at[i].duration_ns, i < 2 ? TB_CALLBACK_NS : 0);
    }
    assert_int_equal(r.at[5].start_ns, 1000 + TB_CALLBACK_NS);
    assert_int_equal(r.at[5].duration_ns, TB_CALLBACK_NS);
    uint32_t count;
    const struct tat_template * t = tat_trace_templates(trace, &count);
    const struct tat_expectation x = tat_template_expect(t, ALL_RULES);
    assert_int_equal(x.n_callbacks, 2);
    assert_int_equal(x.n_executable, 3);
    assert_int_equal(x.n_fused, 1);
    assert_int_equal(tat_template_expect(t, ALL_RULES & ~TAT_RULE_FUSE_NORM).n_callbacks, 3);
    assert_int_equal(tat_template_expect(t, TAT_RULE_SKIP_EMPTY).n_callbacks, 4);
    assert_int_equal(tat_template_expect(t, 0).n_callbacks, 5);
    tat_trace_close(trace);
    tb_free(&b);
}

static void test_aborted(void ** state) {
    (void) state;
    struct trace_builder b;
    struct records r;
    begin(&b);
    tb_evaluation(&b, (struct tb_evaluation){ .template_id = norm_template(&b),
                                              .flags = TAT_EVALUATION_ABORTED,
                                              .rule = ALL_RULES & ~TAT_RULE_FUSE_NORM,
                                              .n_callbacks = 1 });
    struct tat_trace * trace = expand_all(&b, &r);
    EXPECT(&r, { 0, 1, 0, 64, 1, 0, NONE }, { 0, 0, 0, 64, 1, WRITE, NONE });
    tat_trace_close(trace);
    tb_free(&b);
}

static void test_unmatched(void ** state) {
    (void) state;
    struct trace_builder b;
    struct records r;
    begin(&b);
    tb_evaluation(&b, (struct tb_evaluation){ .template_id = norm_template(&b),
                                              .flags = TAT_EVALUATION_UNMATCHED,
                                              .rule = ALL_RULES,
                                              .n_callbacks = 19 });
    struct tat_trace * trace = expand_all(&b, &r);
    assert_int_equal(r.count, 0);
    tat_trace_close(trace);
    tb_free(&b);
}

/* ---- a million ---- */

struct sums {
    uint64_t records, bytes, written;
    uint32_t evaluation;
};

static bool sum(const struct tat_access * records, size_t count, void * user) {
    struct sums * s = user;
    for (size_t i = 0; i < count; i++) {
        s->bytes += records[i].bytes;
        s->written += records[i].flags & TAT_ACCESS_WRITE ? records[i].bytes : 0;
        assert_true(records[i].evaluation >= s->evaluation);
        s->evaluation = records[i].evaluation;
    }
    s->records += count;
    return true;
}

/* A chain of products: every node reads a weight of 64 KiB and the result before it, and writes its own result. */
static void test_a_million(void ** state) {
    (void) state;
    enum { NODES = 100, RECORDS = 3 * NODES, TIMES = 3400, WEIGHT = 128 * 128 * 4, ROW = 128 * 4 };
    static struct tb_entry entries[1 + 2 * NODES];
    struct trace_builder b;
    begin(&b);
    const uint32_t w = weight(&b, "blk.0.attn_q.weight", 128, 128, 1, 0), x = result(&b, "x", 128, 1, 1);
    entries[0] = (struct tb_entry){ .name = "x", .tensor = x, .ne = { 128 } };
    for (int i = 0; i < NODES; i++) {
        entries[1 + i] = (struct tb_entry){ .name = "blk.0.attn_q.weight", .tensor = w, .ne = { 128, 128 } };
        entries[1 + NODES + i] = (struct tb_entry){ .name = "y",
                                                    .op = "MUL_MAT",
                                                    .tensor = x,
                                                    .ne = { 128 },
                                                    .facts = ASKED,
                                                    .src = { 2 + i, i ? 1 + NODES + i : 1 } };
    }
    const uint32_t t = tb_template(&b, 1, entries, 1 + NODES, NODES, NULL, 0);
    for (int i = 0; i < TIMES; i++) {
        tb_evaluation(&b, (struct tb_evaluation){ .template_id = t, .rule = ALL_RULES, .n_callbacks = NODES });
    }
    struct tat_error error = { 0 };
    struct tat_trace * trace = open_good(&b);
    struct sums s = { 0 };
    assert_int_equal(tat_trace_expand(trace, 0, TIMES, sum, &s, &error), 0);
    assert_int_equal(s.records, (uint64_t) RECORDS * TIMES);
    assert_true(s.records > 1000000);
    assert_int_equal(s.bytes, (uint64_t) TIMES * NODES * (WEIGHT + 2 * ROW));
    assert_int_equal(s.written, (uint64_t) TIMES * NODES * ROW);
    s = (struct sums){ 0 };
    assert_int_equal(tat_trace_expand(trace, 10, 20, sum, &s, &error), 0); /* a part of it */
    assert_int_equal(s.records, (uint64_t) RECORDS * 10);
    tat_trace_close(trace);
    tb_free(&b);
}

static bool stop_at_once(const struct tat_access * records, size_t count, void * user) {
    (void) records;
    *(size_t *) user += count;
    return false;
}

static void test_a_sink_that_stops(void ** state) {
    (void) state;
    struct trace_builder b;
    struct tat_error error = { 0 };
    size_t seen = 0;
    begin(&b);
    const uint32_t t = norm_template(&b);
    for (int i = 0; i < 1000; i++) {
        tb_evaluation(&b, (struct tb_evaluation){ .template_id = t, .rule = ALL_RULES, .n_callbacks = 2 });
    }
    struct tat_trace * trace = open_good(&b);
    assert_int_equal(tat_trace_expand(trace, 0, 1000, stop_at_once, &seen, &error), 1);
    assert_true(seen > 0 && seen < 8 * 1000);
    assert_int_equal(tat_trace_expand(trace, 1000, 2000, stop_at_once, &seen, &error), 0); /* there are none */
    tat_trace_close(trace);
    tb_free(&b);
}

/* More values than fit at first, and a walk that ends early. */
static bool keep_last(uint32_t capture, const int64_t * values, size_t count, void * user) {
    assert_int_equal(count, 1000);
    *(int64_t *) user = values[999] + capture;
    return false;
}

static void test_each_capture(void ** state) {
    (void) state;
    struct trace_builder b;
    struct payload p;
    int64_t rows[1000], last = 0;
    begin(&b);
    const uint32_t table = weight(&b, "token_embd.weight", 8, 2000, 1, 4096);
    const uint32_t ids = ids_tensor(&b, "inp_tokens", 1000, 1), out = result(&b, "embd", 8, 1000, 1);
    const struct tb_entry entries[] = {
        { .name = "token_embd.weight", .tensor = table, .ne = { 8, 2000 } },
        { .name = "inp_tokens", .type = "i32", .tensor = ids, .ne = { 1000 } },
        { .name = "embd", .op = "GET_ROWS", .tensor = out, .ne = { 8, 1000 }, .facts = ASKED, .src = { 1, 2 } },
    };
    const struct tb_capture captures[] = { { TAT_CAPTURE_ROWS, 1, 0, 1 }, { TAT_CAPTURE_ROWS, 1, 0, 1 } };
    const uint32_t t = tb_template(&b, 1, entries, 2, 1, captures, 2);
    for (int i = 0; i < 1000; i++) { rows[i] = 2 * i % 999; }
    payload_begin(&p);
    tb_put_series(&p.out, rows, 1000);
    tb_put_series(&p.out, rows, 1000);
    tb_evaluation(&b, (struct tb_evaluation){ .template_id = t,
                                              .rule = ALL_RULES,
                                              .n_callbacks = 1,
                                              .captures = p.bytes,
                                              .captures_bytes = (size_t) (p.out.at - p.bytes) });
    struct tat_trace * trace = open_good(&b);
    assert_int_equal(tat_trace_each_capture(trace, 0, keep_last, &last, NULL), 1);
    assert_int_equal(last, rows[999]);
    assert_int_equal(tat_trace_each_capture(trace, 1, keep_last, &last, NULL), 0); /* there is none */
    tat_trace_close(trace);
    tb_free(&b);
}

/* A result without a name belongs to the layer of its sources. One whose name has no layer belongs to none. */
static void test_layer_of_the_nameless(void ** state) {
    (void) state;
    struct trace_builder b;
    struct records r;
    begin(&b);
    const uint32_t x = result(&b, "l_out-7", 8, 1, 1), y = result(&b, "node_1", 8, 1, 1),
                   z = result(&b, "norm", 8, 1, 1);
    const struct tb_entry entries[] = {
        { .name = "l_out-7", .tensor = x, .ne = { 8 } },
        { .name = "node_1", .op = "SCALE", .tensor = y, .ne = { 8 }, .facts = ASKED, .src = { 1 } },
        { .name = "norm", .op = "SCALE", .tensor = z, .ne = { 8 }, .facts = ASKED, .src = { 2 } },
    };
    const uint32_t t = tb_template(&b, 1, entries, 1, 2, NULL, 0);
    tb_evaluation(&b, (struct tb_evaluation){ .template_id = t, .rule = ALL_RULES, .n_callbacks = 2 });
    struct tat_trace * trace = expand_all(&b, &r);
    assert_int_equal(r.count, 4);
    assert_int_equal(r.at[0].layer, 7);
    assert_int_equal(r.at[1].layer, 7);
    assert_int_equal(r.at[2].layer, TAT_NO_LAYER);
    assert_int_equal(r.at[3].layer, TAT_NO_LAYER);
    tat_trace_close(trace);
    tb_free(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_get_rows),
        cmocka_unit_test(test_rows_at_equal_distances),
        cmocka_unit_test(test_rows_that_are_not_there),
        cmocka_unit_test(test_rows_not_captured),
        cmocka_unit_test(test_set_rows_transposed),
        cmocka_unit_test(test_shape_of_ids_that_lies),
        cmocka_unit_test(test_expert_slices),
        cmocka_unit_test(test_fused_pair),
        cmocka_unit_test(test_aborted),
        cmocka_unit_test(test_unmatched),
        cmocka_unit_test(test_a_million),
        cmocka_unit_test(test_a_sink_that_stops),
        cmocka_unit_test(test_each_capture),
        cmocka_unit_test(test_layer_of_the_nameless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
