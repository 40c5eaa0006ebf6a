/* SPDX-License-Identifier: MIT
 *
 * The section "experts", of runs whose choices are made so that the answers are known.
 */
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "analysis/contingency.h"
#include "analysis/experts/vocabulary.h"
#include "section.h"

enum { EXPERTS = 4, EMBD = 8, USED_MAX = 2, TOKENS_MAX = 16, SLICE = EMBD * EMBD * 4 + EMBD * 4 /* and its bias */ };

struct run {
    struct trace_builder b;
    unsigned used;
    uint32_t stack, bias, cur, ids, gates, positions;
    int64_t position; /* the next token's */
};

/* ---- building ---- */

static void begin(struct run * r, unsigned used) {
    memset(r, 0, sizeof *r);
    r->used = used;
    tb_begin(&r->b);
    tb_model_file(&r->b, "/model.gguf");
    const struct tb_tensor weight = { .kind = TAT_TENSOR_WEIGHT, .memory = TAT_MEMORY_FILE, .file = 1 };
    struct tb_tensor stack = weight, bias = weight;
    stack.name = "blk.0.ffn_gate_exps.weight";
    bias.name = "blk.0.ffn_gate_exps.bias";
    stack.ne[0] = stack.ne[1] = bias.ne[0] = EMBD;
    stack.ne[2] = bias.ne[1] = EXPERTS;
    const struct tb_tensor result = { .kind = TAT_TENSOR_ACTIVATION, .memory = TAT_MEMORY_BUFFER, .ne = { 64, 64 } };
    struct tb_tensor t[4] = { result, result, result, result };
    const char * const name[] = { "cur-0", "ffn_moe_topk-0", "ffn_moe_weights-0", "inp_pos" };
    for (int i = 0; i < 4; i++) { t[i].name = name[i]; }
    r->stack = tb_tensor(&r->b, stack);
    r->bias = tb_tensor(&r->b, bias);
    r->cur = tb_tensor(&r->b, t[0]);
    r->ids = tb_tensor(&r->b, t[1]);
    r->gates = tb_tensor(&r->b, t[2]);
    r->positions = tb_tensor(&r->b, t[3]);
}

/* One layer for so many tokens. The same ids, captured once, select the bias. */
static uint32_t graph(struct run * r, uint32_t context, unsigned n) {
    const unsigned k = r->used;
    const struct tb_entry e[] = {
        { .name = "inp_embd", .tensor = r->cur, .ne = { EMBD, n } },
        { .name = "stack", .tensor = r->stack, .ne = { EMBD, EMBD, EXPERTS } },
        { .name = "bias", .tensor = r->bias, .ne = { EMBD, EXPERTS } },
        { .name = "ffn_moe_topk-0", .tensor = r->ids, .ne = { k, n } },
        { .name = "ffn_moe_weights-0", .tensor = r->gates, .ne = { 1, k, n } },
        { .name = "inp_pos", .tensor = r->positions, .ne = { n } },
        { .name = "Qcur-0",
          .op = "ROPE",
          .tensor = r->cur,
          .ne = { EMBD, n },
          .facts = TAT_NODE_COMPUTE,
          .src = { 1, 6 } },
        { .name = "ffn_moe_gate-0",
          .op = "MUL_MAT_ID",
          .tensor = r->cur,
          .ne = { EMBD, k, n },
          .facts = TAT_NODE_COMPUTE,
          .src = { 2, 1, 4 } },
        { .name = "ffn_moe_gate_biased-0",
          .op = "ADD_ID",
          .tensor = r->cur,
          .ne = { EMBD, k, n },
          .facts = TAT_NODE_COMPUTE,
          .src = { 8, 3, 4 } },
        { .name = "ffn_moe_weighted-0",
          .op = "MUL",
          .tensor = r->cur,
          .ne = { EMBD, k, n },
          .facts = TAT_NODE_COMPUTE,
          .src = { 9, 5 } },
    };
    const struct tb_capture captures[] = { { TAT_CAPTURE_POSITIONS, 5, 0, 1 },
                                           { TAT_CAPTURE_EXPERTS, 3, 1, 2 },
                                           { TAT_CAPTURE_GATES, 4, 3, 1 } };
    return tb_template(&r->b, context, e, 6, 4, captures, 3);
}

/* Tokens that follow those before. `ids`: [token][slot]. The first of a token's gates is 0.75, the other 0.25. */
static void evaluate(struct run * r, uint32_t template_id, unsigned n, const uint32_t * ids) {
    int64_t positions[TOKENS_MAX];
    uint8_t bytes[1024];
    struct tat_out out = { .at = bytes, .end = bytes + sizeof bytes };
    for (unsigned i = 0; i < n; i++) { positions[i] = r->position++; }
    tb_put_series(&out, positions, n);
    tb_put_each(&out, ids, (size_t) n * r->used);
    tat_put_varint(&out, (uint64_t) n * r->used);
    for (unsigned i = 0; i < n * r->used; i++) {
        const float gate = i % r->used ? 0.25f : 0.75f;
        uint32_t bits;
        memcpy(&bits, &gate, sizeof bits);
        tat_put_bytes(&out, &bits, sizeof bits);
    }
    assert_false(out.overflow);
    tb_evaluation(&r->b, (struct tb_evaluation){ .template_id = template_id,
                                                 .n_callbacks = 4,
                                                 .captures = bytes,
                                                 .captures_bytes = (size_t) (out.at - bytes) });
}

/* Returns the section. The caller frees it with json_decref. */
static json_t * end(struct run * r) {
    return section_of_all(&r->b, "experts");
}

/* ---- answers ---- */

static const json_t * row(const json_t * section, const char * table, size_t number) {
    const json_t * rows = json_object_get(json_object_get(json_object_get(section, "tables"), table), "rows");
    if (number >= json_array_size(rows)) { fail_msg("%s has no row %zu", table, number); }
    return json_array_get(rows, number);
}

static double real(const json_t * object, const char * key) {
    const json_t * value = json_object_get(object, key);
    if (!json_is_number(value)) { fail_msg("no number %s", key); }
    return json_number_value(value);
}

static double value(const json_t * section, const char * key) {
    return real(json_object_get(section, "values"), key);
}

#define assert_about(found, expected) assert_float_equal(found, expected, 1e-9)

static const json_t * prediction(const json_t * section, const char * predicted, const char * method) {
    size_t i;
    const json_t * r;
    json_array_foreach(json_object_get(json_object_get(json_object_get(section, "tables"), "prediction"), "rows"), i,
                       r) {
        if (strcmp(json_string_value(json_object_get(r, "predicted")), predicted) == 0 &&
            strcmp(json_string_value(json_object_get(r, "method")), method) == 0) {
            return r;
        }
    }
    fail_msg("no prediction of the %s by %s", predicted, method);
    return NULL;
}

static bool has_note(const json_t * section, const char * words) {
    size_t i;
    const json_t * note;
    json_array_foreach(json_object_get(section, "notes"), i, note) {
        if (strstr(json_string_value(note), words)) { return true; }
    }
    return false;
}

/* ---- tests ---- */

/* Two pairs in turn: a chain knows what comes next, the last choice is never right, and use is even. */
static void test_periodic(void ** state) {
    (void) state;
    struct run r;
    const uint32_t pairs[2][2] = { { 0, 1 }, { 2, 3 } };
    begin(&r, 2);
    const uint32_t one = graph(&r, 1, 1);
    for (int i = 0; i < 40; i++) { evaluate(&r, one, 1, pairs[i % 2]); }
    json_t * s = end(&r);
    const json_t * e = row(s, "experts", 0);
    assert_about(real(e, "selections"), 80);
    assert_about(real(e, "tokens"), 40);
    assert_about(real(e, "entropy_bits"), 2);
    assert_about(real(e, "normalised_entropy"), 1);
    assert_about(real(e, "gini"), 0);
    assert_about(real(e, "expert_bytes"), SLICE);
    assert_about(json_number_value(json_array_get(json_object_get(e, "mean_gates"), 2)), 0.75);
    assert_about(value(s, "same_as_last_token"), 0);
    assert_about(value(s, "same_token_by_chance"), 0.5);
    assert_about(real(prediction(s, "next token", "markov"), "set_right"), 1);
    assert_about(real(prediction(s, "next token", "markov"), "first_right"), 1);
    assert_about(real(prediction(s, "next token", "markov"), "wrong_bytes_per_token"), 0);
    assert_about(real(prediction(s, "next token", "markov"), "right_bytes_per_token"), 2 * SLICE);
    assert_about(real(prediction(s, "next token", "last"), "set_right"), 0);
    assert_about(real(prediction(s, "next token", "last"), "wrong_bytes_per_token"), 2 * SLICE);
    assert_about(real(prediction(s, "next token", "last"), "right_bytes_per_token"), 0);
    assert_about(real(prediction(s, "next token", "random"), "right_bytes_per_token"), SLICE);
    assert_about(real(prediction(s, "next token", "frequent"), "set_right"), 0.5);
    assert_about(real(prediction(s, "next token", "random"), "set_right"), 0.5);
    assert_about(real(prediction(s, "next token", "random"), "tested"), 20);
    json_decref(s);
}

/* Prompt and generation have nothing in common, so V is 1. Within each, all tokens agree. */
static void test_phases(void ** state) {
    (void) state;
    struct run r;
    uint32_t prompt[2 * TOKENS_MAX];
    for (int i = 0; i < 2 * TOKENS_MAX; i++) { prompt[i] = (uint32_t) i % 2; }
    begin(&r, 2);
    const uint32_t many = graph(&r, 1, TOKENS_MAX), one = graph(&r, 1, 1);
    evaluate(&r, many, TOKENS_MAX, prompt);
    for (int i = 0; i < TOKENS_MAX; i++) { evaluate(&r, one, 1, (const uint32_t[]){ 3, 2 }); }
    json_t * s = end(&r);
    const json_t * p = row(s, "phases", 0);
    assert_about(real(p, "prompt"), 32);
    assert_about(real(p, "generate"), 32);
    assert_about(real(p, "chi_square"), 64);
    assert_about(real(p, "degrees_of_freedom"), 3);
    assert_about(real(p, "cramers_v"), 1);
    assert_about(real(row(s, "overlap", 0), "token_pairs"), 31);
    assert_about(value(s, "same_as_last_token"), 30.0 / 31);
    /* Pairs: 0 with 1 and 2 with 3, 16 times each. By chance they would spread over six. */
    assert_about(real(row(s, "together", 0), "tokens"), 16);
    assert_about(real(row(s, "together", 0), "lift"), 3);
    json_decref(s);
}

/* Experts 0 and 1 share everything: one bit of two, and a Gini coefficient of a half. */
static void test_dead(void ** state) {
    (void) state;
    struct run r;
    begin(&r, 1);
    const uint32_t one = graph(&r, 1, 1);
    for (uint32_t i = 0; i < 12; i++) { evaluate(&r, one, 1, (const uint32_t[]){ i % 2 }); }
    json_t * s = end(&r);
    const json_t * e = row(s, "experts", 0);
    assert_about(real(e, "entropy_bits"), 1);
    assert_about(real(e, "normalised_entropy"), 0.5);
    assert_about(real(e, "gini"), 0.5);
    assert_about(real(e, "never"), 2);
    assert_about(value(s, "never"), 2);
    assert_about(value(s, "never_by_chance"), 4 * 0.031676352024078369); /* 0.75 to the 12th */
    assert_true(has_note(s, "Entropy is normalised"));
    json_decref(s);
}

/* In choices without memory, no guess is much better than chance. */
static void test_random(void ** state) {
    (void) state;
    struct run r;
    uint32_t seed = 12345;
    begin(&r, 1);
    const uint32_t one = graph(&r, 1, 1);
    for (int i = 0; i < 2000; i++) {
        seed = seed * 1664525u + 1013904223u;
        evaluate(&r, one, 1, (const uint32_t[]){ seed >> 30 });
    }
    json_t * s = end(&r);
    /* A quarter of 1,000 tests, with a standard deviation of 1.4 %. */
    for (int m = 0; m < 3; m++) {
        const char * const method[] = { "last", "frequent", "markov" };
        assert_float_equal(real(prediction(s, "next token", method[m]), "set_right"), 0.25, 0.06);
    }
    assert_float_equal(value(s, "same_as_last_token"), value(s, "same_token_by_chance"), 0.05);
    assert_true(value(s, "mean_normalised_entropy") > 0.99);
    json_decref(s);
}

/* A token is compared with the one before it in its own context, and not across a gap in its positions. */
static void test_apart(void ** state) {
    (void) state;
    struct run r;
    begin(&r, 1);
    const uint32_t here = graph(&r, 1, 1), there = graph(&r, 2, 1);
    for (int i = 0; i < 10; i++) {
        const int64_t position = r.position;
        evaluate(&r, here, 1, (const uint32_t[]){ 0 });
        r.position = position;
        evaluate(&r, there, 1, (const uint32_t[]){ 1 });
    }
    r.position += 5;
    evaluate(&r, here, 1, (const uint32_t[]){ 2 });
    json_t * s = end(&r);
    assert_about(real(row(s, "overlap", 0), "token_pairs"), 18);
    assert_about(value(s, "same_as_last_token"), 1);
    json_decref(s);
}

static void test_nobody(void ** state) {
    (void) state;
    struct run r;
    begin(&r, 2);
    const uint32_t one = graph(&r, 1, 1);
    evaluate(&r, one, 1, (const uint32_t[]){ 1, EXPERTS });
    json_t * s = end(&r);
    assert_about(value(s, "selections"), 1);
    assert_true(has_note(s, "1 selections name experts that the layer does not have"));
    json_decref(s);
}

static void test_none(void ** state) {
    (void) state;
    struct run r;
    begin(&r, 2);
    json_t * s = end(&r);
    assert_true(json_is_true(json_object_get(s, "absent")));
    assert_string_equal(json_string_value(json_object_get(s, "headline")),
                        "No prompt and no token was computed, so no expert was chosen.");
    json_decref(s);
}

static void assert_kind(const char * text, enum token_kind kind) {
    assert_string_equal(token_kind_name(token_kind_of(text, strlen(text))), token_kind_name(kind));
}

static void test_kinds(void ** state) {
    (void) state;
    assert_kind("\u0120king", TOKEN_WORD);
    assert_kind("\u2581king", TOKEN_WORD);
    assert_kind("ing", TOKEN_PART);
    assert_kind("\u01201984", TOKEN_NUMBER);
    assert_kind("\u0120--", TOKEN_MARK);
    assert_kind(",", TOKEN_MARK);
    assert_kind("\u010a\u010a", TOKEN_SPACE);
    assert_kind("", TOKEN_SPACE);
    assert_kind("<|im_end|>", TOKEN_SPECIAL);
    assert_kind("<>", TOKEN_MARK);
    assert_kind("n't", TOKEN_OTHER);
    assert_kind("\u4e2d", TOKEN_OTHER);
}

/* The example from the documentation of scipy.stats.chi2_contingency, and a row of zeros, which does not count. */
static void test_contingency(void ** state) {
    (void) state;
    const uint64_t counts[3][3] = { { 10, 20, 30 }, { 0, 0, 0 }, { 6, 9, 17 } };
    const struct contingency t = contingency_of(&counts[0][0], 3, 3);
    assert_int_equal(t.count, 92);
    assert_int_equal(t.freedom, 2);
    assert_int_equal(t.cells, 6);
    assert_int_equal(t.few, 0);
    assert_float_equal(t.chi_square, 0.27157465150403504, 1e-12);
    assert_float_equal(t.v, 0.05433137570422292, 1e-12);
    const uint64_t one[2][2] = { { 3, 4 }, { 0, 0 } };
    assert_int_equal(contingency_of(&one[0][0], 2, 2).freedom, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_periodic), cmocka_unit_test(test_phases), cmocka_unit_test(test_dead),
        cmocka_unit_test(test_random),   cmocka_unit_test(test_apart),  cmocka_unit_test(test_nobody),
        cmocka_unit_test(test_none),     cmocka_unit_test(test_kinds),  cmocka_unit_test(test_contingency),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
