/* SPDX-License-Identifier: MIT
 *
 * Filters of access records against all records and a plain condition.
 */
#include <fnmatch.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <cmocka.h>

#include "format/number_set.h"
#include "tat/filter.h"
#include "trace_builder.h"

/* ---- parsing ---- */

struct reading {
    const char * text;
    uint64_t first, last;
};

static void check_readings(number_reader read, const struct reading * good, size_t n_good, const char * const * bad,
                           size_t n_bad) {
    for (size_t i = 0; i < n_good; i++) {
        struct number_range r = { 77, 77 };
        if (!number_range_read(good[i].text, read, &r)) { fail_msg("'%s' is no range", good[i].text); }
        assert_int_equal(r.first, good[i].first);
        assert_int_equal(r.last, good[i].last);
    }
    for (size_t i = 0; i < n_bad; i++) {
        struct number_range r = { 77, 78 };
        if (number_range_read(bad[i], read, &r)) { fail_msg("'%s' is a range", bad[i]); }
        assert_int_equal(r.first, 77); /* untouched */
        assert_int_equal(r.last, 78);
    }
}

static void ranges(void ** state) {
    static const struct reading good[] = {
        { "0", 0, 0 },
        { "5", 5, 5 },
        { "3:8", 3, 8 },
        { "3:3", 3, 3 },
        { ":8", 0, 8 },
        { "3:", 3, UINT64_MAX - 1 },
        { "0:", 0, UINT64_MAX - 1 },
        { "8:3", 8, 3 },
        { "18446744073709551615", UINT64_MAX, UINT64_MAX },
    };
    static const char * const bad[] = { "",   ":",     "a",   "3:a", "-1",  "3:-1", " 3",
                                        "3 ", "3:8:9", "3-8", "+3",  "0x3", "3.5",  "18446744073709551616",
                                        "::", "3::8" };
    (void) state;
    check_readings(number_read, good, sizeof good / sizeof good[0], bad, sizeof bad / sizeof bad[0]);
}

static void offsets_and_times(void ** state) {
    static const struct reading offsets[] = { { "4096", 4096, 4096 },
                                              { "0x1000:0X1fFf", 4096, 8191 },
                                              { "16:0x20", 16, 32 },
                                              { ":0xffffffffffffffff", 0, UINT64_MAX } };
    static const char * const no_offsets[] = { "0x", "x10", "1f", "0x1g", "0x-1", "4K", "0x10000000000000000" };
    static const struct reading times[] = { { "1500", 1500, 1500 },
                                            { "1.5us:2ms", 1500, 2000000 },
                                            { "0.25s:", 250000000, UINT64_MAX - 1 },
                                            { ":1min", 0, 60000000000 },
                                            { "1.0000000019s", 1000000001, 1000000001 },
                                            { "7ns:7ns", 7, 7 } };
    static const char * const no_times[] = { "1.", ".5s", "1h", "1 s", "s", "1.5.5s", "18446744073709551615s", "1e3" };
    (void) state;
    check_readings(number_read_offset, offsets, sizeof offsets / sizeof offsets[0], no_offsets,
                   sizeof no_offsets / sizeof no_offsets[0]);
    check_readings(number_read_time, times, sizeof times / sizeof times[0], no_times,
                   sizeof no_times / sizeof no_times[0]);
}

/* Any ranges, in any order, against a flag for each number. */
static void sets(void ** state) {
    enum { NUMBERS = 64 };
    uint32_t seed = 1;
    (void) state;
    for (int round = 0; round < 300; round++) {
        struct number_set set = { 0 };
        bool has[NUMBERS] = { false };
        for (int i = 0; i < round % 12; i++) {
            seed = seed * 1664525 + 1013904223;
            const uint64_t first = seed >> 16 & (NUMBERS - 1), wide = seed >> 24 & 7;
            const uint64_t last = first + wide < NUMBERS ? first + wide : NUMBERS - 1;
            assert_true(number_set_add(&set, (struct number_range){ first, last }));
            for (uint64_t n = first; n <= last; n++) { has[n] = true; }
        }
        for (uint64_t first = 0; first < NUMBERS; first++) {
            bool any = false;
            for (uint64_t last = first; last < NUMBERS; last++) {
                any |= has[last];
                assert_int_equal(number_set_meets(&set, (struct number_range){ first, last }), any);
            }
        }
        number_set_free(&set);
    }
}

static void names(void ** state) {
    static const char * const good[][2] = {
        { "phases", "generate" }, { "kinds", "weights" },   { "kinds", "state" },   { "components", "activations" },
        { "components", "kv_k" }, { "at-time", "2ms:3ms" }, { "at_time", ":7" },    { "at", "0x10:" },
        { "heads", "all" },       { "heads", "0:2" },       { "tensors", "blk.*" }, { "files", "1" },
    };
    static const char * const bad[][3] = {
        { "phase", "generate", "there is no filter 'phase'; there are tokens, phases, " },
        { "phases", "Generate", "phases 'Generate': must be one of warmup, prompt, " },
        { "phases", "", "phases '': must be one of" },
        { "kinds", "weighty", "must be one of weight, state, activation, input" },
        { "components", "attn", "attn_q" },
        { "layers", "8:3", "layers '8:3': the range ends before it begins" },
        { "layers", "all", "layers 'all': must be a number or a range: 5, 3:8, 3: or :8" },
        { "tensors", "", "the name is empty" },
        { "at", "4K", "must be a byte of the file or a range" },
        { "at_time", "1h", "must be a time or a range" },
    };
    struct tat_error error;
    (void) state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        if (tat_filter_check(good[i][0], good[i][1], &error) != 0) { fail_msg("%s", error.message); }
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(tat_filter_check(bad[i][0], bad[i][1], &error), -1);
        assert_int_equal(error.kind, TAT_ERROR_USAGE);
        if (!strstr(error.message, bad[i][2])) { fail_msg("%s", error.message); }
    }
    unsigned count = 0;
    while (tat_filter_name(count)) { assert_non_null(tat_filter_value(count++)); }
    assert_int_equal(count, 15);
    assert_null(tat_filter_value(count));
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

struct conditions {
    const char *name, *value;
};
enum { CONDITIONS = 4 };

static bool is_name(const struct conditions * c, const char * name) {
    return strcmp(c->name, name) == 0;
}

/* Whether a record meets a condition, as plainly as it can be said. */
static bool meets(const struct fixture * f, const struct conditions * c, const struct tat_access * a) {
    uint32_t count;
    struct number_range r = { 0, 0 };
    const struct tat_tensor * t = &tat_trace_tensors(f->trace, &count)[a->tensor];
    const struct tat_evaluation * e = &tat_trace_evaluations(f->trace, &count)[a->evaluation];
    if (is_name(c, "tensors")) { return fnmatch(c->value, t->name, 0) == 0; }
    if (is_name(c, "ops")) { return strcasecmp(c->value, tat_trace_op_name(f->trace, a->op)) == 0; }
    if (is_name(c, "phases")) { return strcmp(c->value, tat_phase_name(e->phase)) == 0; }
    if (is_name(c, "components")) {
        const bool has = t->kind == TAT_TENSOR_WEIGHT || t->kind == TAT_TENSOR_STATE;
        return strcmp(c->value, has ? tat_component_name(t->component) : "activations") == 0;
    }
    if (is_name(c, "kinds")) {
        static const char * const kinds[] = { "", "weights", "kv", "activations", "inputs" };
        return strcmp(c->value, kinds[t->kind]) == 0;
    }
    assert_true(number_range_read(c->value, is_name(c, "at_time") ? number_read_time : number_read, &r));
    if (is_name(c, "tokens")) {
        return e->phase != TAT_PHASE_WARMUP && e->token_first + e->n_tokens > r.first && e->token_first <= r.last;
    }
    if (is_name(c, "at")) { return t->file && a->bytes && a->offset + a->bytes > r.first && a->offset <= r.last; }
    if (is_name(c, "at_time")) {
        const uint64_t end = a->start_ns + (a->duration_ns ? a->duration_ns : 1);
        return end > r.first && a->start_ns <= r.last;
    }
    const uint64_t number = is_name(c, "layers")        ? a->layer == TAT_NO_LAYER ? UINT64_MAX : a->layer
                            : is_name(c, "experts")     ? a->expert == TAT_NO_EXPERT ? UINT64_MAX : a->expert
                            : is_name(c, "evaluations") ? a->evaluation
                                                        : e->context;
    return number >= r.first && number <= r.last;
}

static bool fits(const struct fixture * f, const struct conditions x[static CONDITIONS], const struct tat_access * a) {
    for (int i = 0; i < CONDITIONS && x[i].name; i++) {
        bool any = false;
        for (int k = 0; k < CONDITIONS && x[k].name; k++) { any |= is_name(&x[i], x[k].name) && meets(f, &x[k], a); }
        if (!any) { return false; }
    }
    return true;
}

struct comparison {
    const struct fixture * f;
    const struct conditions * x;
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

static struct tat_filter * filter(const struct fixture * f, const struct conditions x[static CONDITIONS],
                                  struct tat_error * error) {
    struct tat_filter * filter_ = tat_filter_new(f->trace, error);
    assert_non_null(filter_);
    for (int i = 0; i < CONDITIONS && x[i].name; i++) {
        if (tat_filter_add(filter_, x[i].name, x[i].value, error) == 0) { continue; }
        tat_filter_free(filter_);
        return NULL;
    }
    return filter_;
}

/* The same records, as if somebody else had made them. */
static void check_chosen(const struct fixture * f, const struct conditions * x, const struct tat_filter * wanted) {
    struct tat_error error = { 0 };
    bool * chosen = calloc(f->n_all + 1, sizeof *chosen);
    assert_non_null(chosen);
    assert_int_equal(tat_filter_choose(wanted, f->all, f->n_all, chosen, &error), 0);
    for (size_t i = 0; i < f->n_all; i++) { assert_int_equal(chosen[i], fits(f, x, &f->all[i])); }
    free(chosen);
}

/* Checks that exactly the fitting records pass, in order. Returns how many. */
static size_t check(const struct fixture * f, const struct conditions x[static CONDITIONS]) {
    struct tat_error error = { 0 };
    struct comparison c = { .f = f, .x = x };
    struct tat_filter * wanted = filter(f, x, &error);
    size_t count;
    if (!wanted || tat_filter_expand(wanted, 0, UINT32_MAX, compare, &c, &error) != 0) {
        fail_msg("%s", error.message);
    }
    for (; c.at < f->n_all; c.at++) { assert_false(fits(f, x, &f->all[c.at])); }
    assert_int_equal(tat_filter_accesses(wanted, 0, UINT32_MAX, NULL, 0, &count, &error), 0);
    assert_int_equal(count, c.passed);
    check_chosen(f, x, wanted);
    tat_filter_free(wanted);
    return c.passed;
}

#define CHECK(f_, ...) check(f_, (const struct conditions[CONDITIONS]){ __VA_ARGS__ })

static void filters_of_evaluations(void ** state) {
    (void) state;
    struct fixture f;
    build(&f);
    assert_int_equal(CHECK(&f, { 0 }), f.n_all);
    for (unsigned first = 0; first < 14; first++) {
        for (unsigned last = first; last < 14; last++) {
            char range[16];
            snprintf(range, sizeof range, "%u:%u", first, last);
            CHECK(&f, { "tokens", range });
            const unsigned end = last < 7 ? last : 7;
            assert_int_equal(CHECK(&f, { "evaluations", range }), first > 7 ? 0 : 12 * (end - first + 1));
        }
    }
    assert_int_equal(CHECK(&f, { "tokens", "5" }), 12); /* context 1's; context 2 has 3 tokens */
    assert_int_equal(CHECK(&f, { "tokens", "2" }), 24); /* of both */
    assert_int_equal(CHECK(&f, { "tokens", "2" }, { "contexts", "2" }), 12);
    assert_int_equal(CHECK(&f, { "tokens", "2" }, { "contexts", "3" }), 0);
    assert_int_equal(CHECK(&f, { "evaluations", "1" }, { "evaluations", "5:6" }), 36);
    static const char * const phases[] = { "warmup", "prompt", "generate", "other" };
    size_t sum = 0;
    for (int i = 0; i < 4; i++) { sum += CHECK(&f, { "phases", phases[i] }); }
    assert_int_equal(sum, f.n_all);
    CHECK(&f, { "phases", "prompt" }, { "phases", "generate" });
    done(&f);
}

static void filters_of_records(void ** state) {
    (void) state;
    struct fixture f;
    build(&f);
    assert_int_equal(CHECK(&f, { "layers", "1" }), 8 * 6);
    assert_int_equal(CHECK(&f, { "layers", "0:" }), 8 * 9); /* without what has no layer */
    assert_int_equal(CHECK(&f, { "layers", "0:" }, { "tensors", "blk.*" }), 8 * 2);
    assert_int_equal(CHECK(&f, { "tensors", "*attn_q*" }, { "tensors", "cache_?_l1" }), 8 * 2);
    assert_int_equal(CHECK(&f, { "ops", "mul_mat" }), 8 * 6);
    assert_int_equal(CHECK(&f, { "ops", "ADD" }, { "ops", "GET_ROWS" }), 8 * 6);
    assert_int_equal(CHECK(&f, { "kinds", "weights" }, { "kinds", "inputs" }), 8 * 4);
    assert_int_equal(CHECK(&f, { "kinds", "kv" }), 8);
    assert_int_equal(CHECK(&f, { "components", "attn_q" }), 8);
    assert_int_equal(CHECK(&f, { "components", "kv_k" }, { "components", "ffn_up" }), 8 * 2);
    assert_int_equal(CHECK(&f, { "components", "activations" }), 8 * 8);
    assert_int_equal(CHECK(&f, { "experts", "0:" }), 0);
    done(&f);
}

/* blk.0.attn_q.weight is in bytes 9000 to 9255 of the file, blk.1.ffn_up.weight in 9500 to 9755. */
static void filters_of_places(void ** state) {
    (void) state;
    struct fixture f;
    build(&f);
    assert_int_equal(CHECK(&f, { "at", "9000" }), 8);
    assert_int_equal(CHECK(&f, { "at", "8999" }) + CHECK(&f, { "at", "9256" }), 0);
    assert_int_equal(CHECK(&f, { "at", "9255:9500" }), 8 * 2);
    assert_int_equal(CHECK(&f, { "at", "9256:9499" }), 0);
    assert_int_equal(CHECK(&f, { "at", "9100" }, { "at", "9700" }), 8 * 2);
    assert_int_equal(CHECK(&f, { "at", "9000:" }, { "layers", "1" }), 8);
    done(&f);
}

static void filters_of_times(void ** state) {
    (void) state;
    struct fixture f;
    size_t sum = 0;
    build(&f);
    for (size_t i = 0; i < f.n_all; i += 5) {
        const struct tat_access * a = &f.all[i];
        char at[64];
        snprintf(at, sizeof at, "%" PRIu64, a->start_ns);
        assert_true(CHECK(&f, { "at_time", at }) > 0);
        snprintf(at, sizeof at, "%" PRIu64 "ns:%" PRIu64, a->start_ns + 1, a->start_ns + 3 * a->duration_ns);
        sum += CHECK(&f, { "at_time", at });
    }
    assert_true(sum > 0);
    assert_int_equal(CHECK(&f, { "at_time", "0:1min" }), f.n_all);
    assert_int_equal(CHECK(&f, { "at_time", "1min:" }), 0);
    done(&f);
}

/* A fault outside graphs, or of no weight. */
static void what_lacks_what_is_asked_for(void ** state) {
    (void) state;
    static const struct conditions of[] = { { "tokens", "0:" },     { "phases", "generate" }, { "evaluations", "0:" },
                                            { "contexts", "1" },    { "layers", "0:" },       { "tensors", "*" },
                                            { "kinds", "weights" }, { "ops", "add" },         { "experts", "0:" },
                                            { "at", "0:" },         { "at_time", "0:" },      { NULL, NULL } };
    struct fixture f;
    struct tat_error error = { 0 };
    bool chosen[2];
    build(&f);
    struct tat_access nothing = { .evaluation = TAT_NO_EVALUATION,
                                  .tensor = TAT_NO_TENSOR,
                                  .op = TAT_NO_OP,
                                  .layer = TAT_NO_LAYER,
                                  .expert = TAT_NO_EXPERT,
                                  .head_first = TAT_NO_HEAD,
                                  .bytes = 1,
                                  .flags = TAT_ACCESS_UNTIMED };
    for (int i = 0; of[i].name; i++) {
        struct tat_filter * one = filter(&f, (const struct conditions[CONDITIONS]){ of[i] }, &error);
        assert_int_equal(tat_filter_choose(one, &nothing, 1, chosen, &error), 0);
        if (chosen[0]) { fail_msg("it passes %s", of[i].name); }
        tat_filter_free(one);
    }
    struct tat_filter * all = tat_filter_new(f.trace, &error);
    assert_int_equal(tat_filter_choose(all, &nothing, 1, chosen, &error), 0);
    assert_true(chosen[0]);
    assert_int_equal(tat_filter_add(all, "heads", "0", &error), 0);
    assert_int_equal(tat_filter_choose(all, &nothing, 1, chosen, &error), -1);
    assert_int_equal(error.kind, TAT_ERROR_USAGE);
    tat_filter_free(all);
    done(&f);
}

static bool refuse(const struct tat_access * records, size_t count, void * user) {
    (void) records;
    (void) count;
    ++*(int *) user;
    return false;
}

/* Checks that a condition is refused, with a message that has these words. */
static void refused(const struct fixture * f, const char * name, const char * value, const char * words) {
    struct tat_error error = { 0 };
    const struct conditions x[CONDITIONS] = { { name, value } };
    assert_null(filter(f, x, &error));
    assert_int_equal(error.kind, TAT_ERROR_NO);
    if (!strstr(error.message, words)) { fail_msg("%s", error.message); }
}

static void what_the_trace_has_nothing_of(void ** state) {
    (void) state;
    struct fixture f;
    struct tat_error error = { 0 };
    int calls = 0;
    build(&f);
    refused(&f, "ops", "MUL_MAT_ID", "'MUL_MAT_ID'; there are GET_ROWS MUL_MAT ADD");
    refused(&f, "tensors", "blk.7.*", "no tensor of the trace matches 'blk.7.*'");
    refused(&f, "files", "other", "no model file of the trace is called 'other'; number 1 is model.gguf");
    refused(&f, "files", "2", "no model file");
    refused(&f, "model", "other", "no model");
    struct tat_filter * all = tat_filter_new(f.trace, &error);
    assert_int_equal(tat_filter_expand(all, 0, UINT32_MAX, refuse, &calls, &error), 1);
    assert_int_equal(calls, 1);
    assert_int_equal(tat_filter_add(all, "layers", NULL, &error), 0); /* a condition that no record meets */
    assert_int_equal(tat_filter_expand(all, 0, UINT32_MAX, refuse, &calls, &error), 0);
    assert_int_equal(calls, 1);
    tat_filter_free(all);
    done(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges),
        cmocka_unit_test(offsets_and_times),
        cmocka_unit_test(sets),
        cmocka_unit_test(names),
        cmocka_unit_test(filters_of_evaluations),
        cmocka_unit_test(filters_of_records),
        cmocka_unit_test(filters_of_places),
        cmocka_unit_test(filters_of_times),
        cmocka_unit_test(what_lacks_what_is_asked_for),
        cmocka_unit_test(what_the_trace_has_nothing_of),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
