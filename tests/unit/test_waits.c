/* SPDX-License-Identifier: MIT
 *
 * What thread 0 waited at barriers, in traces of which it is known: in the file, as an array, in sums, in the report.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "tat/analysis.h"
#include "tat/sums.h"
#include "tat/verify.h"
#include "trace_builder.h"

enum {
    EVERY = 0,
    FUSED = TAT_RULE_SKIP_EMPTY | TAT_RULE_SKIP_UNASKED | TAT_RULE_FUSE_NORM,
    CALLBACKS = 3, /* if fused: rows of the embedding, norm and product, projection */
    NODES = 5,     /* the second is empty */
};

/* A graph of one token. */
static uint32_t begin(struct trace_builder * b) {
    const uint64_t shape[] = { 8, 8 };
    tb_begin(b);
    struct tb_tensor weight = { .name = "token_embd.weight", .kind = TAT_TENSOR_WEIGHT, .memory = TAT_MEMORY_FILE };
    struct tb_tensor result = { .name = "inp_embd", .kind = TAT_TENSOR_ACTIVATION, .memory = TAT_MEMORY_BUFFER };
    memcpy(weight.ne, shape, sizeof shape);
    result.ne[0] = 8;
    const uint32_t embd = tb_tensor(b, weight), x = tb_tensor(b, result);
    weight.name = "blk.0.attn_q.weight";
    const uint32_t q = tb_tensor(b, weight);
    enum { ASKED = TAT_NODE_COMPUTE };
    const struct tb_entry entries[] = {
        { .name = "token_embd.weight", .tensor = embd, .ne = { 8, 8 } },
        { .name = "inp_tokens", .tensor = x, .ne = { 1 } },
        { .name = "blk.0.attn_q.weight", .tensor = q, .ne = { 8, 8 } },
        { .name = "inp_embd", .op = "GET_ROWS", .tensor = x, .ne = { 8 }, .facts = ASKED, .src = { 1, 2 } },
        { .name = "view", .op = "VIEW", .tensor = x, .ne = { 8 }, .facts = ASKED | TAT_NODE_EMPTY, .src = { 4 } },
        { .name = "norm-0",
          .op = "RMS_NORM",
          .tensor = x,
          .ne = { 8 },
          .facts = ASKED | TAT_NODE_FUSES_NEXT,
          .src = { 5 } },
        { .name = "attn_norm-0", .op = "MUL", .tensor = x, .ne = { 8 }, .facts = ASKED, .src = { 6, 4 } },
        { .name = "Qcur-0", .op = "MUL_MAT", .tensor = x, .ne = { 8 }, .facts = ASKED, .src = { 3, 7 } },
    };
    return tb_template(b, 1, entries, 3, NODES, NULL, 0);
}

/* The first evaluation of a trace is the prompt; the others are generated tokens. */
static void evaluate(struct trace_builder * b, uint32_t rule, uint32_t n_threads, const uint64_t * waits,
                     uint32_t n_waits) {
    tb_evaluation(b, (struct tb_evaluation){ .template_id = 0,
                                             .flags = waits ? TAT_EVALUATION_EXACT : 0,
                                             .rule = rule,
                                             .n_callbacks = rule == EVERY ? NODES : CALLBACKS,
                                             .n_threads = n_threads,
                                             .waits = waits,
                                             .n_waits = n_waits });
}

static struct tat_trace * open_trace(struct trace_builder * b) {
    struct tat_error error = { 0 };
    tb_end(b);
    struct tat_trace * trace = tb_open(b, &error);
    if (!trace) { fail_msg("%s", error.message); }
    tb_free(b);
    return trace;
}

static struct tat_trace * open_good(struct trace_builder * b) {
    struct tat_trace * trace = open_trace(b);
    assert_int_equal(tat_trace_summary(trace)->undecodable_blocks, 0);
    return trace;
}

/* ---- array ---- */

static void expect_waits(const struct tat_trace * trace, const struct tat_wait * expected, size_t n) {
    struct tat_wait found[32];
    size_t count;
    assert_int_equal(tat_trace_waits(trace, 0, UINT32_MAX, NULL, 0, &count, NULL), 0);
    assert_int_equal(count, n);
    assert_int_equal(tat_trace_waits(trace, 0, UINT32_MAX, found, 32, &count, NULL), 0);
    assert_int_equal(count, n);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(found[i].evaluation, expected[i].evaluation);
        assert_int_equal(found[i].node, expected[i].node);
        assert_int_equal(found[i].ns, expected[i].ns);
    }
}

static void waits_stand_with_their_nodes(void ** state) {
    (void) state;
    struct trace_builder b;
    begin(&b);
    evaluate(&b, FUSED, 2, (const uint64_t[]){ 10, 20, TB_CALLBACK_NS }, 3);
    evaluate(&b, FUSED, 2, NULL, 0);
    evaluate(&b, EVERY, 2, (const uint64_t[]){ 1, 2, 3, 4, 5 }, 5);
    struct tat_trace * trace = open_good(&b);
    /* The norm has the wait of both. Nobody asks for that of the empty node. */
    const struct tat_wait expected[] = { { 10, 0, 0 }, { 20, 0, 2 }, { TB_CALLBACK_NS, 0, 4 }, { 1, 2, 0 }, { 3, 2, 2 },
                                         { 4, 2, 3 },  { 5, 2, 4 } };
    expect_waits(trace, expected, 7);
    struct tat_wait part[3] = { { .ns = 7 } };
    size_t count;
    assert_int_equal(tat_trace_waits(trace, 1, 3, part, 2, &count, NULL), 0);
    assert_int_equal(count, 4);
    assert_int_equal(part[1].ns, 3);
    assert_int_equal(part[2].node, 0); /* unchanged */
    uint32_t n;
    const struct tat_evaluation * e = tat_trace_evaluations(trace, &n);
    assert_int_equal(e[0].n_waits, 3);
    assert_int_equal(e[1].n_waits, 0);
    assert_int_equal(e[2].n_waits, 5);
    tat_trace_close(trace);
}

/* Five ticks are two nanoseconds; products are cut, not rounded. */
static void waits_are_nanoseconds(void ** state) {
    (void) state;
    struct trace_builder b;
    begin(&b);
    tb_header(&b)->ticks_per_second = 2500000000;
    tb_seal(&b);
    evaluate(&b, FUSED, 2, (const uint64_t[]){ 5, 9, 0 }, 3);
    struct tat_trace * trace = open_good(&b);
    const struct tat_wait expected[] = { { 2, 0, 0 }, { 3, 0, 2 }, { 0, 0, 4 } };
    expect_waits(trace, expected, 3);
    tat_trace_close(trace);
}

static void expect_refused(const struct tat_trace * trace, const char * name, const char * words) {
    struct tat_verification v;
    struct tat_error error = { 0 };
    unsigned i = 0;
    if (tat_verify(trace, &v, &error) != 0) { fail_msg("%s", error.message); }
    while (i < v.n_checks && strcmp(v.check[i].name, name) != 0) { i++; }
    assert_true(i < v.n_checks);
    assert_int_equal(v.check[i].verdict, TAT_VERDICT_FAIL);
    assert_non_null(strstr(v.check[i].detail, words));
}

static void some_waits_are_missing(void ** state) {
    (void) state;
    struct trace_builder b;
    begin(&b);
    evaluate(&b, FUSED, 2, (const uint64_t[]){ 10 }, 1);
    struct tat_trace * trace = open_good(&b);
    const struct tat_wait expected[] = { { 10, 0, 0 } };
    expect_waits(trace, expected, 1);
    expect_refused(trace, "times",
                   "1 evaluations tell of some nodes what thread 0 waited behind them, and of others not");
    tat_trace_close(trace);
}

/* ---- file ---- */

static void expect_senseless(const uint64_t * waits, uint32_t n_waits) {
    struct trace_builder b;
    uint32_t n;
    begin(&b);
    evaluate(&b, FUSED, 2, waits, n_waits);
    struct tat_trace * trace = open_trace(&b);
    assert_int_equal(tat_trace_summary(trace)->undecodable_blocks, 1);
    tat_trace_evaluations(trace, &n);
    assert_int_equal(n, 0);
    expect_refused(trace, "file", "1 blocks that make no sense");
    tat_trace_close(trace);
}

static void waits_that_make_no_sense(void ** state) {
    (void) state;
    expect_senseless((const uint64_t[]){ 0, TB_CALLBACK_NS + 1, 0 }, 3); /* longer than its node */
    expect_senseless((const uint64_t[]){ 0, 0, UINT64_MAX }, 3);
    expect_senseless((const uint64_t[]){ 0, 0, 0, 0 }, 4); /* without a callback */
}

/* What a later tat may put after them is skipped. */
static void bytes_behind_waits_are_ignored(void ** state) {
    (void) state;
    struct trace_builder b;
    begin(&b);
    evaluate(&b, FUSED, 2, (const uint64_t[]){ 10, 20, 30 }, 3);
    const struct tat_block_header * h = (const struct tat_block_header *) (b.bytes + b.last);
    uint8_t payload[256];
    const uint32_t n = h->payload_bytes;
    memcpy(payload, b.bytes + b.last + sizeof *h, n);
    memset(payload + n, 0xff, 20);
    b.size = b.last;
    tb_block(&b, TAT_BLOCK_EVALUATION, payload, n + 20);
    struct tat_trace * trace = open_good(&b);
    const struct tat_wait expected[] = { { 10, 0, 0 }, { 20, 0, 2 }, { 30, 0, 4 } };
    expect_waits(trace, expected, 3);
    tat_trace_close(trace);
}

/* ---- sums ---- */

struct totals {
    uint64_t ns, wait_ns, known_ns, evaluations;
};

static bool add(const struct tat_tally * t, void * user) {
    struct totals * totals = user;
    totals->evaluations += t->wait_ns ? t->evaluations : 0;
    for (size_t i = 0; t->ns && i < t->count; i++) {
        totals->ns += t->ns[i];
        totals->known_ns += t->wait_ns ? t->ns[i] : 0;
        totals->wait_ns += t->wait_ns ? t->wait_ns[i] : 0;
    }
    return true;
}

static void sums_keep_apart_what_is_not_known(void ** state) {
    (void) state;
    struct trace_builder b;
    struct totals t = { 0 };
    begin(&b);
    evaluate(&b, FUSED, 2, (const uint64_t[]){ 10, 20, 30 }, 3);
    evaluate(&b, FUSED, 2, (const uint64_t[]){ 1, 2, 3 }, 3);
    evaluate(&b, FUSED, 2, NULL, 0);
    evaluate(&b, FUSED, 2, (const uint64_t[]){ 50 }, 1); /* waits of some of its nodes only */
    evaluate(&b, FUSED, 2, (const uint64_t[]){ 4, 5, 6 }, 3);
    struct tat_trace * trace = open_good(&b);
    assert_int_equal(tat_trace_tally(trace, 0, UINT32_MAX, add, &t, NULL), 0);
    assert_int_equal(t.ns, 5 * CALLBACKS * TB_CALLBACK_NS);
    assert_int_equal(t.known_ns, 3 * CALLBACKS * TB_CALLBACK_NS);
    assert_int_equal(t.wait_ns, 60 + 6 + 15);
    assert_int_equal(t.evaluations, 3);
    tat_trace_close(trace);
}

/* ---- report ---- */

static json_t * time_of(struct trace_builder * b) {
    static const char * const names[] = { "time" };
    struct tat_error error = { 0 };
    struct tat_trace * trace = open_good(b);
    char * text = tat_analyze(trace, names, 1, NULL, &error);
    if (!text) { fail_msg("%s", error.message); }
    json_t * all = json_loads(text, 0, NULL);
    json_t * time = json_incref(json_object_get(all, "time"));
    json_decref(all);
    free(text);
    tat_trace_close(trace);
    assert_non_null(time);
    return time;
}

static json_t * value(const json_t * time, const char * key) {
    return json_object_get(json_object_get(time, "values"), key);
}

static const json_t * row(const json_t * time, const char * table, size_t number) {
    const json_t * rows = json_object_get(json_object_get(json_object_get(time, "tables"), table), "rows");
    assert_true(number < json_array_size(rows));
    return json_array_get(rows, number);
}

static void expect_row(const json_t * time, const char * table, size_t number, json_int_t ns, json_int_t wait_ns) {
    const json_t * r = row(time, table, number);
    assert_int_equal(json_integer_value(json_object_get(r, "ns")), ns);
    assert_int_equal(json_integer_value(json_object_get(r, "wait_ns")), wait_ns);
    assert_true(json_real_value(json_object_get(r, "wait_share")) == (double) wait_ns / (double) ns);
}

static const char * answer(const json_t * time) {
    const json_t * answers = json_object_get(time, "answers");
    for (size_t i = 0; i < json_array_size(answers); i++) {
        const json_t * a = json_array_get(answers, i);
        if (strstr(json_string_value(json_object_get(a, "question")), "waiting")) {
            return json_string_value(json_object_get(a, "answer"));
        }
    }
    fail_msg("the question was not asked");
    return NULL;
}

static bool is_noted(const json_t * time, const char * words) {
    const json_t * notes = json_object_get(time, "notes");
    for (size_t i = 0; i < json_array_size(notes); i++) {
        if (strstr(json_string_value(json_array_get(notes, i)), words)) { return true; }
    }
    return false;
}

static void report_shares_out_the_waiting(void ** state) {
    (void) state;
    struct trace_builder b;
    begin(&b);
    evaluate(&b, FUSED, 2, (const uint64_t[]){ 10, 20, 30 }, 3);
    evaluate(&b, FUSED, 2, (const uint64_t[]){ 0, 5, 25 }, 3);
    json_t * time = time_of(&b);
    assert_int_equal(json_integer_value(value(time, "wait_ns")), 90);
    assert_int_equal(json_integer_value(value(time, "wait_of_ns")), 600);
    assert_true(json_real_value(value(time, "wait_share")) == 0.15);
    const char * const operations[] = { "MUL_MAT", "RMS_NORM", "GET_ROWS" };
    for (size_t i = 0; i < 3; i++) {
        assert_string_equal(json_string_value(json_object_get(row(time, "waits", i), "operation")), operations[i]);
    }
    expect_row(time, "waits", 0, 200, 55);
    expect_row(time, "waits", 1, 200, 25);
    expect_row(time, "waits", 2, 200, 10);
    expect_row(time, "phase_waits", 0, 300, 60);
    expect_row(time, "phase_waits", 1, 300, 30);
    expect_row(time, "layer_waits", 0, 400, 80);
    expect_row(time, "layer_waits", 1, 200, 10);
    assert_true(json_is_null(json_object_get(row(time, "layer_waits", 1), "layer")));
    assert_string_equal(answer(time),
                        "Thread 0 waited at barriers for 15.0 % of the time, most behind MUL_MAT: 61.1 % of "
                        "its waiting.");
    assert_false(is_noted(time, "no waiting was recorded"));
    json_decref(time);
}

static void report_says_how_much_is_known(void ** state) {
    (void) state;
    struct trace_builder b;
    begin(&b);
    evaluate(&b, FUSED, 2, (const uint64_t[]){ 10, 20, 30 }, 3);
    for (int i = 0; i < 3; i++) { evaluate(&b, FUSED, 2, NULL, 0); }
    json_t * time = time_of(&b);
    assert_int_equal(json_integer_value(value(time, "ns")), 1200);
    assert_int_equal(json_integer_value(value(time, "wait_of_ns")), 300);
    assert_true(json_real_value(value(time, "wait_share")) == 0.2);
    assert_true(is_noted(time, "Of 75.0 % of the time no waiting was recorded"));
    json_decref(time);
}

static void report_says_that_it_was_not_recorded(void ** state) {
    (void) state;
    struct trace_builder b;
    begin(&b);
    evaluate(&b, FUSED, 2, NULL, 0);
    json_t * time = time_of(&b);
    assert_null(value(time, "wait_ns"));
    assert_null(json_object_get(json_object_get(time, "tables"), "waits"));
    assert_string_equal(answer(time), "It was not recorded; a new recording with `tat record --exact-time` tells it.");
    assert_true(is_noted(time, "`tat record --exact-time` times an operation until its slowest thread is done"));
    json_decref(time);
}

/* Older exact evaluations have no waits. */
static void exact_times_without_waits(void ** state) {
    (void) state;
    struct trace_builder b;
    begin(&b);
    tb_evaluation(&b, (struct tb_evaluation){ .flags = TAT_EVALUATION_EXACT, .rule = FUSED, .n_callbacks = CALLBACKS });
    json_t * time = time_of(&b);
    assert_int_equal(json_integer_value(value(time, "ns")), 300);
    assert_null(value(time, "wait_ns"));
    assert_string_equal(answer(time), "It was not recorded; a new recording with `tat record --exact-time` tells it.");
    assert_true(is_noted(time, "the end is that of the slowest thread"));
    assert_false(is_noted(time, "Waiting is that of thread 0"));
    json_decref(time);
}

static void one_thread_waits_for_none(void ** state) {
    (void) state;
    struct trace_builder b;
    begin(&b);
    evaluate(&b, FUSED, 1, (const uint64_t[]){ 1, 1, 1 }, 3);
    json_t * time = time_of(&b);
    assert_string_equal(answer(time), "None: one thread computed. Passing the barriers took 1.0 % of the time.");
    json_decref(time);
    begin(&b);
    evaluate(&b, FUSED, 1, NULL, 0);
    time = time_of(&b);
    assert_string_equal(answer(time), "None: one thread computed.");
    json_decref(time);
    begin(&b);
    evaluate(&b, FUSED, 2, (const uint64_t[]){ 0, 0, 0 }, 3);
    time = time_of(&b);
    assert_string_equal(answer(time), "None: no other was later than thread 0. Passing the barriers took 0.0 % of the "
                                      "time.");
    json_decref(time);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waits_stand_with_their_nodes),
        cmocka_unit_test(waits_are_nanoseconds),
        cmocka_unit_test(some_waits_are_missing),
        cmocka_unit_test(waits_that_make_no_sense),
        cmocka_unit_test(bytes_behind_waits_are_ignored),
        cmocka_unit_test(sums_keep_apart_what_is_not_known),
        cmocka_unit_test(report_shares_out_the_waiting),
        cmocka_unit_test(report_says_how_much_is_known),
        cmocka_unit_test(report_says_that_it_was_not_recorded),
        cmocka_unit_test(exact_times_without_waits),
        cmocka_unit_test(one_thread_waits_for_none),
    };
    return cmocka_run_group_tests_name("waits", tests, NULL, NULL);
}
