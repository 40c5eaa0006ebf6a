/* SPDX-License-Identifier: MIT
 *
 * Filters of access records against all records and a plain condition.
 */
#include <fnmatch.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "export/access_filter.h"
#include "trace_builder.h"

/* ---- parsing ---- */

static void ranges(void ** state) {
    static const struct {
        const char * text;
        uint64_t first, last;
    } good[] = {
        { "0", 0, 0 },
        { "5", 5, 5 },
        { "3:8", 3, 8 },
        { "3:3", 3, 3 },
        { ":8", 0, 8 },
        { "3:", 3, UINT64_MAX - 1 },
        { "0:", 0, UINT64_MAX - 1 },
        { "18446744073709551615", UINT64_MAX, UINT64_MAX },
    };
    static const char * const bad[] = { "",      ":",   "a",  "3:a", "-1",  "3:-1", " 3",  "3 ",
                                        "3:8:9", "3-8", "+3", "0x3", "3.5", "8:3",  "1:0", "18446744073709551616",
                                        "::",    "3::8" };
    (void) state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct access_range r = { 77, 77 };
        assert_null(access_range_parse(good[i].text, &r));
        assert_int_equal(r.first, good[i].first);
        assert_int_equal(r.last, good[i].last);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct access_range r = { 77, 78 };
        if (!access_range_parse(bad[i], &r)) { fail_msg("'%s' is a range", bad[i]); }
        assert_int_equal(r.first, 77); /* untouched */
        assert_int_equal(r.last, 78);
    }
    struct access_range r;
    assert_string_equal(access_range_parse("8:3", &r), "the range ends before it begins");
}

static void names(void ** state) {
    (void) state;
    assert_int_equal(access_phase_bit("generate"), 1 << TAT_PHASE_GENERATE);
    assert_int_equal(access_phase_bit("Generate"), 0);
    assert_int_equal(access_phase_bit(""), 0);
    assert_int_equal(access_kind_bit("weights"), 1 << TAT_TENSOR_WEIGHT);
    assert_int_equal(access_kind_bit("kv"), 1 << TAT_TENSOR_STATE);
    assert_int_equal(access_kind_bit("weight"), 0);
}

/* ---- a trace ---- */

struct fixture {
    struct trace_builder b;
    struct tat_trace * trace;
    struct tat_access * all;
    size_t n_all;
};

static bool keep(const struct tat_access * records, size_t count, void * user) {
    struct fixture * f = user;
    f->all = realloc(f->all, (f->n_all + count) * sizeof *f->all);
    assert_non_null(f->all);
    memcpy(f->all + f->n_all, records, count * sizeof *records);
    f->n_all += count;
    return true;
}

/* A graph of two layers for so many tokens. */
static uint32_t graph(struct trace_builder * b, uint32_t context, uint64_t n, const uint32_t tensors[static 8]) {
    const struct tb_entry e[] = {
        { .name = "token_embd.weight", .tensor = tensors[0], .ne = { 8, 100 } },
        { .name = "inp_tokens", .type = "i32", .tensor = tensors[1], .ne = { n } },
        { .name = "blk.0.attn_q.weight", .tensor = tensors[2], .ne = { 8, 8 } },
        { .name = "blk.1.ffn_up.weight", .tensor = tensors[3], .ne = { 8, 8 } },
        { .name = "cache_k_l1", .tensor = tensors[4], .ne = { 8, 4 } },
        { .name = "embd",
          .op = "GET_ROWS",
          .tensor = tensors[5],
          .ne = { 8, n },
          .facts = TAT_NODE_COMPUTE,
          .src = { 1, 2 } },
        { .name = "Qcur-0",
          .op = "MUL_MAT",
          .tensor = tensors[6],
          .ne = { 8, n },
          .facts = TAT_NODE_COMPUTE,
          .src = { 3, 6 } },
        { .name = "ffn_up-1",
          .op = "MUL_MAT",
          .tensor = tensors[7],
          .ne = { 8, n },
          .facts = TAT_NODE_COMPUTE,
          .src = { 4, 7 } },
        { .name = "out-1",
          .op = "ADD",
          .tensor = tensors[7],
          .ne = { 8, n },
          .facts = TAT_NODE_COMPUTE,
          .src = { 8, 5 } },
    };
    return tb_template(b, context, e, 5, 4, NULL, 0);
}

static void build(struct fixture * f) {
    struct trace_builder * b = &f->b;
    struct tat_error error = { 0 };
    memset(f, 0, sizeof *f);
    tb_begin(b);
    tb_model_file(b, "/model.gguf");
    const enum tat_tensor_kind W = TAT_TENSOR_WEIGHT, A = TAT_TENSOR_ACTIVATION;
    const struct tb_tensor t[8] = {
        { .name = "token_embd.weight", .kind = W, .memory = TAT_MEMORY_FILE, .ne = { 8, 100 }, .file = 1 },
        { .name = "inp_tokens",
          .kind = TAT_TENSOR_INPUT,
          .memory = TAT_MEMORY_BUFFER,
          .type = "i32",
          .block = 1,
          .block_bytes = 4,
          .ne = { 16 } },
        { .name = "blk.0.attn_q.weight",
          .kind = W,
          .memory = TAT_MEMORY_FILE,
          .ne = { 8, 8 },
          .file = 1,
          .file_offset = 9000 },
        { .name = "blk.1.ffn_up.weight",
          .kind = W,
          .memory = TAT_MEMORY_FILE,
          .ne = { 8, 8 },
          .file = 1,
          .file_offset = 9500 },
        { .name = "cache_k_l1", .kind = TAT_TENSOR_STATE, .memory = TAT_MEMORY_KV, .ne = { 8, 4 } },
        { .name = "embd", .kind = A, .memory = TAT_MEMORY_BUFFER, .ne = { 8, 16 } },
        { .name = "Qcur-0", .kind = A, .memory = TAT_MEMORY_BUFFER, .ne = { 8, 16 } },
        { .name = "ffn_up-1", .kind = A, .memory = TAT_MEMORY_BUFFER, .ne = { 8, 16 } },
    };
    uint32_t numbers[8];
    for (int i = 0; i < 8; i++) { numbers[i] = tb_tensor(b, t[i]); }
    const uint32_t five = graph(b, 1, 5, numbers), one = graph(b, 1, 1, numbers), other = graph(b, 2, 1, numbers);
    const uint32_t order[] = { five, one, one, other, one, five, other, other };
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        tb_evaluation(b, (struct tb_evaluation){ .template_id = order[i], .n_callbacks = 4 });
    }
    tb_end(b);
    f->trace = tb_open(b, &error);
    if (!f->trace) { fail_msg("%s", error.message); }
    assert_int_equal(tat_trace_summary(f->trace)->undecodable_blocks, 0);
    assert_int_equal(tat_trace_expand(f->trace, 0, UINT32_MAX, keep, f, &error), 0);
    assert_int_equal(f->n_all, 8 * 12);
}

static void done(struct fixture * f) {
    tat_trace_close(f->trace);
    tb_free(&f->b);
    free(f->all);
}

/* ---- comparing ---- */

static bool fits_any(const struct access_names * names_, const char * name) {
    bool fits = names_->count == 0;
    for (size_t i = 0; i < names_->count; i++) { fits |= fnmatch(names_->name[i], name, FNM_CASEFOLD) == 0; }
    return fits;
}

static bool in(struct access_range r, uint64_t first, uint64_t last) {
    return last >= r.first && first <= r.last;
}

static bool is_all(struct access_range r) {
    return r.first == 0 && r.last == UINT64_MAX;
}

static bool fits(const struct fixture * f, const struct access_filter * x, const struct tat_access * a) {
    uint32_t count;
    const struct tat_tensor * t = &tat_trace_tensors(f->trace, &count)[a->tensor];
    const struct tat_evaluation * e = &tat_trace_evaluations(f->trace, &count)[a->evaluation];
    if (!is_all(x->token) &&
        (e->phase == TAT_PHASE_WARMUP || !in(x->token, e->token_first, e->token_first + e->n_tokens - 1))) {
        return false;
    }
    if (!is_all(x->layer) && (a->layer == TAT_NO_LAYER || !in(x->layer, a->layer, a->layer))) { return false; }
    return in(x->evaluation, a->evaluation, a->evaluation) && fits_any(&x->tensors, t->name) &&
           fits_any(&x->ops, tat_trace_op_name(f->trace, a->op)) && (!x->phases || x->phases & 1u << e->phase) &&
           (!x->kinds || x->kinds & 1u << t->kind) && (!x->context || x->context == e->context);
}

struct comparison {
    const struct fixture * f;
    const struct access_filter * x;
    size_t at, passed;
};

static bool compare(const struct tat_access * records, size_t count, void * user) {
    struct comparison * c = user;
    for (size_t i = 0; i < count; i++, c->passed++, c->at++) {
        while (c->at < c->f->n_all && !fits(c->f, c->x, &c->f->all[c->at])) { c->at++; }
        assert_true(c->at < c->f->n_all);
        assert_memory_equal(&records[i], &c->f->all[c->at], sizeof records[i]);
    }
    return true;
}

/* Checks that exactly the fitting records pass, in order. Returns how many. */
static size_t check(const struct fixture * f, struct access_filter x) {
    struct tat_error error = { 0 };
    struct comparison c = { .f = f, .x = &x };
    if (access_filter_each(&x, f->trace, compare, &c, &error) != 0) { fail_msg("%s", error.message); }
    for (; c.at < f->n_all; c.at++) { assert_false(fits(f, &x, &f->all[c.at])); }
    return c.passed;
}

static struct access_names list(const char * a, const char * b) {
    struct access_names l = { .name = { a, b }, .count = b ? 2 : 1 };
    return l;
}

static void filters_pass_what_fits(void ** state) {
    (void) state;
    struct fixture f;
    build(&f);
    struct access_filter x = ACCESS_FILTER_ALL;
    assert_int_equal(check(&f, x), f.n_all);
    for (uint64_t first = 0; first < 14; first++) {
        for (uint64_t last = first; last < 14; last++) {
            x = ACCESS_FILTER_ALL;
            x.token = (struct access_range){ first, last };
            check(&f, x);
            x = ACCESS_FILTER_ALL;
            x.evaluation = (struct access_range){ first, last };
            const uint64_t end = last < 7 ? last : 7;
            assert_int_equal(check(&f, x), first > 7 ? 0 : 12 * (end - first + 1));
        }
    }
    x = ACCESS_FILTER_ALL;
    x.token = (struct access_range){ 5, 5 };
    assert_int_equal(check(&f, x), 12); /* context 1's; context 2 has 3 tokens */
    x.token = (struct access_range){ 2, 2 };
    assert_int_equal(check(&f, x), 24); /* of both */
    x.context = 2;
    assert_int_equal(check(&f, x), 12);
    x.context = 3;
    assert_int_equal(check(&f, x), 0);
    done(&f);
}

static void filters_of_records(void ** state) {
    (void) state;
    struct fixture f;
    build(&f);
    struct access_filter x = ACCESS_FILTER_ALL;
    x.layer = (struct access_range){ 1, 1 };
    assert_int_equal(check(&f, x), 8 * 6);
    x.layer = (struct access_range){ 0, UINT64_MAX - 1 }; /* "0:", which excludes what has no layer */
    assert_int_equal(check(&f, x), 8 * 9);
    x.tensors = list("blk.*", NULL);
    assert_int_equal(check(&f, x), 8 * 2);
    x.tensors = list("*attn_q*", "cache_?_l1");
    assert_int_equal(check(&f, x), 8 * 2);
    x = ACCESS_FILTER_ALL;
    x.ops = list("mul_mat", NULL);
    assert_int_equal(check(&f, x), 8 * 6);
    x.ops = list("ADD", "GET_ROWS");
    assert_int_equal(check(&f, x), 8 * 6);
    x = ACCESS_FILTER_ALL;
    x.kinds = access_kind_bit("weights") | access_kind_bit("inputs");
    assert_int_equal(check(&f, x), 8 * 4);
    x.kinds = access_kind_bit("kv");
    assert_int_equal(check(&f, x), 8);
    for (unsigned phases = 1; phases < 1u << TAT_PHASE_COUNT; phases++) {
        x = ACCESS_FILTER_ALL;
        x.phases = phases;
        check(&f, x);
    }
    done(&f);
}

static bool refuse(const struct tat_access * records, size_t count, void * user) {
    (void) records;
    (void) count;
    ++*(int *) user;
    return false;
}

static void what_the_trace_has_nothing_of(void ** state) {
    (void) state;
    struct fixture f;
    struct tat_error error = { 0 };
    int calls = 0;
    struct access_filter x = ACCESS_FILTER_ALL;
    build(&f);
    x.ops = list("MUL_MAT_ID", NULL);
    assert_int_equal(access_filter_each(&x, f.trace, refuse, &calls, &error), -1);
    assert_int_equal(error.kind, TAT_ERROR_NO);
    assert_non_null(strstr(error.message, "'MUL_MAT_ID'; there are GET_ROWS MUL_MAT ADD"));
    x.ops = list("ADD", "nonsense"); /* one is not enough */
    assert_int_equal(access_filter_each(&x, f.trace, refuse, &calls, &error), -1);
    x = ACCESS_FILTER_ALL;
    x.tensors = list("blk.7.*", NULL);
    assert_int_equal(access_filter_each(&x, f.trace, refuse, &calls, &error), -1);
    assert_int_equal(error.kind, TAT_ERROR_NO);
    assert_int_equal(calls, 0);
    x = ACCESS_FILTER_ALL;
    assert_int_equal(access_filter_each(&x, f.trace, refuse, &calls, &error), 1);
    assert_int_equal(calls, 1);
    done(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges),
        cmocka_unit_test(names),
        cmocka_unit_test(filters_pass_what_fits),
        cmocka_unit_test(filters_of_records),
        cmocka_unit_test(what_the_trace_has_nothing_of),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
