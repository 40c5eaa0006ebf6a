/* SPDX-License-Identifier: MIT
 *
 * In which order tensors would have to stand, by name and by trace; and how far apart reads are, counted by hand.
 */
#include "test_gguf_builder.h"

#include "analysis/order/file_order.h"
#include "small_model.h"

struct tensor {
    const char * name;
    uint32_t n_dims;
    uint64_t ne[4];
    uint64_t at; /* byte of the file; 0: behind the one before */
};

enum { ALIGNMENT = 8, FIRST = 1000 };

/* Of f32, with the first at byte FIRST. */
static struct tat_gguf * open_model(const struct tensor * tensors, uint32_t n) {
    struct builder b = { 0 };
    size_t * offset = calloc(n, sizeof *offset);
    uint64_t at = FIRST;
    assert_non_null(offset);
    put_header(&b, 3, n, 2);
    put_kv_string(&b, "general.architecture", "llama");
    put_kv_u32(&b, "general.alignment", ALIGNMENT);
    for (uint32_t i = 0; i < n; i++) {
        put_tensor(&b, tensors[i].name, tensors[i].n_dims, tensors[i].ne, 0, 0);
        offset[i] = b.size - 8;
    }
    put_padding(&b, ALIGNMENT);
    const uint64_t data = b.size;
    for (uint32_t i = 0; i < n; i++) {
        uint64_t bytes = 4;
        for (uint32_t j = 0; j < tensors[i].n_dims; j++) { bytes *= tensors[i].ne[j]; }
        if (tensors[i].at) { at = tensors[i].at; }
        assert_in_range(data, 0, at);
        store(&b, offset[i], at - data, 8);
        at += bytes;
    }
    put_bytes(&b, NULL, at - b.size);
    struct tat_gguf * gguf = builder_open_good(&b, 0);
    builder_free(&b);
    free(offset);
    return gguf;
}

static void expect_order(const struct tat_gguf * gguf, const struct file_order * o, const char * const * names) {
    uint32_t n;
    const struct tat_gguf_tensor * tensors = tat_gguf_tensors(gguf, &n);
    for (uint32_t i = 0; i < n; i++) { assert_string_equal(tensors[o->tensor[i]].name, names[i]); }
}

#define A_TENSOR(name)                                                                                                 \
    { name, 1, { 2 }, 0 }

/* The names, which are the order that is expected, from the last to the first in the file. */
static void expect_by_name(const char * const * names, uint32_t n) {
    struct tensor tensors[32];
    struct file_order o;
    for (uint32_t i = 0; i < n; i++) { tensors[n - 1 - i] = (struct tensor) A_TENSOR(names[i]); }
    struct tat_gguf * gguf = open_model(tensors, n);
    assert_true(file_order_by_name(&o, gguf));
    assert_int_equal(o.n_read, n);
    assert_int_equal(o.tokens, 0);
    expect_order(gguf, &o, names);
    file_order_free(&o);
    tat_gguf_close(gguf);
}

static void names_give_the_order_of_graphs(void ** state) {
    static const char * const dense[] = {
        "token_embd.weight",        "rope_freqs.weight",     "blk.0.attn_norm.weight",
        "blk.0.attn_q.weight",      "blk.0.attn_v.weight",   "blk.0.attn_k.weight",
        "blk.0.attn_output.weight", "blk.0.ffn_norm.weight", "blk.0.ffn_gate.weight",
        "blk.0.ffn_up.weight",      "blk.0.ffn_down.weight", "blk.1.attn_norm.weight",
        "blk.10.attn_norm.weight",  "output_norm.weight",    "output.weight",
    };
    static const char * const tied[] = {
        "blk.0.ffn_norm.weight",    "blk.0.ffn_gate_inp.weight",  "blk.0.ffn_gate_exps.weight",
        "blk.0.ffn_up_exps.weight", "blk.0.ffn_down_exps.weight", "output_norm.weight",
        "token_embd.weight", /* is the output's matrix too */
    };
    static const char * const both[] = {
        "token_embd.weight",       "enc.blk.0.ffn_up.weight", "enc.blk.1.attn_q.weight", "enc.output_norm.weight",
        "dec.blk.0.attn_q.weight", "dec.blk.1.attn_q.weight", "dec.output_norm.weight",  "output.weight",
    };
    (void) state;
    expect_by_name(dense, sizeof dense / sizeof *dense);
    expect_by_name(tied, sizeof tied / sizeof *tied);
    expect_by_name(both, sizeof both / sizeof *both);
    struct tat_gguf * nothing = open_model(NULL, 0);
    struct file_order o;
    assert_true(file_order_by_name(&o, nothing));
    file_order_free(&o);
    tat_gguf_close(nothing);
}

/* The small model's weights, where its traces have them, and one that nothing reads. */
static const struct tensor small[] = {
    { "token_embd.weight", 2, { WIDTH, VOCABULARY }, 1000 },
    { "blk.0.attn_q.weight", 2, { WIDTH, WIDTH }, 2000 },
    { "blk.1.ffn_up_exps.weight", 3, { WIDTH, 4, N_EXPERTS }, 3000 },
    { "blk.0.attn_k.weight", 1, { 2 }, 4000 },
};
enum { SMALL = sizeof small / sizeof *small };

/* A prompt of one token, and two generated ones. */
static struct tat_trace * two_tokens(bool generate) {
    struct trace_builder b;
    struct small_model m;
    small_model_begin(&b, &m);
    const uint32_t t = small_model_template(&b, &m, 1);
    small_model_evaluate(&b, t, (const int64_t[]){ 9 }, 1, (const uint32_t[]){ 3, 0 });
    if (generate) {
        small_model_evaluate(&b, t, (const int64_t[]){ 3 }, 1, (const uint32_t[]){ 0, 2 });
        small_model_end_early(&b, t, (const int64_t[]){ 4 }, 1, 2);
        small_model_evaluate(&b, t, (const int64_t[]){ 5 }, 1, (const uint32_t[]){ 1, 2 });
    }
    struct tat_trace * trace = small_model_open(&b);
    tb_free(&b);
    return trace;
}

static void a_trace_gives_the_order_of_reads(void ** state) {
    static const char * const names[] = { "blk.0.attn_q.weight", "blk.1.ffn_up_exps.weight", "token_embd.weight",
                                          "blk.0.attn_k.weight" };
    struct tat_error error = { 0 };
    (void) state;
    for (int generate = 0; generate < 2; generate++) {
        struct file_order o;
        struct tat_trace * trace = two_tokens(generate);
        struct tat_gguf * gguf = open_model(small, SMALL);
        assert_int_equal(file_order_by_trace(&o, gguf, trace, &error), 0);
        assert_int_equal(o.n_read, 3);
        assert_int_equal(o.generated, generate);
        assert_int_equal(o.tokens, generate ? 2 : 1);
        expect_order(gguf, &o, names);
        file_order_free(&o);
        tat_gguf_close(gguf);
        tat_trace_close(trace);
    }
}

static void a_trace_of_other_tensors_gives_none(void ** state) {
    const struct tensor moved[] = { { "token_embd.weight", 2, { WIDTH, VOCABULARY }, 1008 } };
    struct tat_error error = { 0 };
    struct file_order o;
    struct tat_trace * trace = two_tokens(true);
    struct tat_gguf * gguf = open_model(moved, 1);
    (void) state;
    assert_int_equal(file_order_by_trace(&o, gguf, trace, &error), -1);
    assert_int_equal(error.kind, TAT_ERROR_NO);
    file_order_free(&o);
    tat_gguf_close(gguf);
    tat_trace_close(trace);
}

static void seeks_are_those_of_the_places(void ** state) {
    static const uint64_t before[SMALL] = { 1000, 2000, 3000, 4000 }, after[SMALL] = { 5768, 5000, 5256, 6088 };
    struct tat_error error = { 0 };
    struct file_seeks s;
    struct file_order o;
    struct tat_trace * trace = two_tokens(true);
    struct tat_gguf * gguf = open_model(small, SMALL);
    (void) state;
    assert_int_equal(file_order_by_trace(&o, gguf, trace, &error), 0);
    assert_int_equal(file_seeks_count(&s, &o, gguf, before, trace, &error), 0);
    assert_int_equal(s.tokens, 2);
    assert_int_equal(s.gaps.distance, 872 + 744 + 128 + 2384 + 160 + 808 + 872 + 0 + 2384);
    assert_int_equal(gap_shares(&s.gaps).sequential.accesses, 1);
    assert_int_equal(gap_shares(&s.gaps).all.accesses, 9);
    assert_int_equal(s.span, 2 * 2384);
    assert_int_equal(file_seeks_count(&s, &o, gguf, after, trace, &error), 0);
    assert_int_equal(s.gaps.distance, 896 + 0 + 128 + 128 + 160 + 960 + 128 + 0 + 128);
    assert_int_equal(gap_shares(&s.gaps).sequential.accesses, 2);
    assert_int_equal(s.span, 2 * 1088);
    /* Without a trace: one pass in the order, of whole tensors. */
    assert_int_equal(file_seeks_count(&s, &o, gguf, before, NULL, &error), 0);
    assert_int_equal(s.tokens, 1);
    assert_int_equal(s.gaps.distance, 744 + 2512 + 2680);
    assert_int_equal(file_seeks_count(&s, &o, gguf, after, NULL, &error), 0);
    assert_int_equal(s.gaps.distance, 0);
    assert_int_equal(s.span, 1096);
    file_order_free(&o);
    tat_gguf_close(gguf);
    tat_trace_close(trace);
}

/* Slices that begin inside a page, against counting one by one. */
static void borders_are_counted(void ** state) {
    static const uint64_t widths[] = { 1, 2, 3, 8, 255, 256, 511, 512, 768, 1024, 1025, 1536, 3072 };
    (void) state;
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
        for (uint64_t slices = 1; slices <= 33; slices += 4) {
            const struct tensor stack[] = { { "blk.0.ffn_up_exps.weight", 3, { widths[i], 1, slices }, 0 } };
            struct tat_error error = { 0 };
            struct tat_gguf * gguf = open_model(stack, 1);
            struct file_order o;
            struct file_seeks s;
            assert_true(file_order_by_name(&o, gguf));
            for (uint64_t place = 0; place < 4200; place += place < 3900 ? 244 : 4) {
                uint64_t expected = 0;
                for (uint64_t k = 1; k < slices; k++) { expected += (place + k * widths[i] * 4) % 4096 != 0; }
                assert_int_equal(file_seeks_count(&s, &o, gguf, &place, NULL, &error), 0);
                assert_int_equal(s.borders, expected);
            }
            const uint64_t page = 4096;
            uint64_t expected = 0;
            for (uint64_t k = 1; k < slices; k++) { expected += k * widths[i] * 4 % 4096 != 0; }
            assert_int_equal(file_seeks_count(&s, &o, gguf, &page, NULL, &error), 0);
            assert_int_equal(s.borders, expected);
            file_order_free(&o);
            tat_gguf_close(gguf);
        }
    }
}

/* Between tensors: only where both are in one page. */
static void borders_of_tensors_are_counted(void ** state) {
    static const uint64_t touching[SMALL] = { 4096, 4416, 8192, 8704 }, apart[SMALL] = { 4096, 8192, 12288, 16384 };
    struct tat_error error = { 0 };
    struct file_order o;
    struct file_seeks s;
    struct tat_gguf * gguf = open_model(small, SMALL);
    (void) state;
    assert_true(file_order_by_name(&o, gguf));
    assert_int_equal(file_seeks_count(&s, &o, gguf, touching, NULL, &error), 0);
    assert_int_equal(s.borders, 2 + N_EXPERTS - 1);
    assert_int_equal(file_seeks_count(&s, &o, gguf, apart, NULL, &error), 0);
    assert_int_equal(s.borders, N_EXPERTS - 1);
    file_order_free(&o);
    tat_gguf_close(gguf);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_give_the_order_of_graphs),
        cmocka_unit_test(a_trace_gives_the_order_of_reads),
        cmocka_unit_test(a_trace_of_other_tensors_gives_none),
        cmocka_unit_test(seeks_are_those_of_the_places),
        cmocka_unit_test(borders_are_counted),
        cmocka_unit_test(borders_of_tensors_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
