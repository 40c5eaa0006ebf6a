/* SPDX-License-Identifier: MIT
 *
 * tat_diff on traces whose differences are known: a model of one layer with four experts, a prompt of two tokens, and
 * generated tokens that choose one expert each.
 */
#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tat/diff.h"
#include "trace_builder.h"

enum { GENERATED = 6, MOST = 8 };

/* What may differ. */
struct recipe {
    int64_t prompt[2];
    uint32_t expert[GENERATED];
    uint32_t first;            /* expert of the prompt's tokens */
    bool extra;                /* one more weight, read before the output */
    uint64_t ticks_per_second; /* 0: 1e9; half as many make all twice as slow */
    int generated;             /* tokens; 0: GENERATED */
    uint8_t recording;         /* 0: one of its own */
};

struct tensors {
    uint32_t embd, experts, output, extra, ids, topk, x, moe, out;
};

static uint32_t tensor(struct trace_builder * b, const char * name, enum tat_tensor_kind kind, uint64_t n0, uint64_t n1,
                       uint64_t n2) {
    const bool ids = strcmp(name, "inp_tokens") == 0 || strcmp(name, "ffn_moe_topk-0") == 0;
    return tb_tensor(b, (struct tb_tensor){
                            .name = name,
                            .kind = kind,
                            .memory = kind == TAT_TENSOR_WEIGHT ? TAT_MEMORY_COPY : TAT_MEMORY_BUFFER,
                            .type = ids ? "i32" : "f32",
                            .block = 1,
                            .block_bytes = 4,
                            .ne = { n0, n1, n2 },
                        });
}

static struct tensors add_tensors(struct trace_builder * b, bool extra) {
    return (struct tensors){
        .embd = tensor(b, "token_embd.weight", TAT_TENSOR_WEIGHT, 8, 100, 1),
        .experts = tensor(b, "blk.0.ffn_up_exps.weight", TAT_TENSOR_WEIGHT, 8, 8, 4),
        .output = tensor(b, "output.weight", TAT_TENSOR_WEIGHT, 8, 100, 1),
        .extra = extra ? tensor(b, "output_norm.weight", TAT_TENSOR_WEIGHT, 8, 1, 1) : 0,
        .ids = tensor(b, "inp_tokens", TAT_TENSOR_INPUT, 4, 1, 1),
        .topk = tensor(b, "ffn_moe_topk-0", TAT_TENSOR_ACTIVATION, 1, 4, 1),
        .x = tensor(b, "inp_embd", TAT_TENSOR_ACTIVATION, 8, 4, 1),
        .moe = tensor(b, "ffn_moe_up-0", TAT_TENSOR_ACTIVATION, 8, 1, 4),
        .out = tensor(b, "result_output", TAT_TENSOR_ACTIVATION, 100, 4, 1),
    };
}

static uint32_t add_graph(struct trace_builder * b, const struct tensors * t, uint64_t rows, bool extra) {
    enum { LEAVES = 6 };
    const struct tb_entry entries[] = {
        { .name = "token_embd.weight", .tensor = t->embd, .ne = { 8, 100 } },
        { .name = "inp_tokens", .type = "i32", .tensor = t->ids, .ne = { rows } },
        { .name = "blk.0.ffn_up_exps.weight", .tensor = t->experts, .ne = { 8, 8, 4 } },
        { .name = "ffn_moe_topk-0", .type = "i32", .tensor = t->topk, .ne = { 1, rows } },
        { .name = "output.weight", .tensor = t->output, .ne = { 8, 100 } },
        { .name = "output_norm.weight", .tensor = t->extra, .ne = { 8 } },
        { .name = "embd",
          .op = "GET_ROWS",
          .tensor = t->x,
          .ne = { 8, rows },
          .facts = TAT_NODE_COMPUTE,
          .src = { 1, 2 } },
        { .name = "ffn_moe_up-0",
          .op = "MUL_MAT_ID",
          .tensor = t->moe,
          .ne = { 8, 1, rows },
          .facts = TAT_NODE_COMPUTE,
          .src = { 3, 7, 4 } },
        { .name = "norm",
          .op = "MUL",
          .tensor = t->x,
          .ne = { 8, rows },
          .facts = TAT_NODE_COMPUTE,
          .src = { 8, extra ? 6 : 8 } },
        { .name = "result_output",
          .op = "MUL_MAT",
          .tensor = t->out,
          .ne = { 100, 1 },
          .facts = TAT_NODE_COMPUTE,
          .src = { 5, 9 } },
    };
    const struct tb_capture captures[] = { { TAT_CAPTURE_ROWS, 1, 0, 1 }, { TAT_CAPTURE_EXPERTS, 3, 1, 2 } };
    return tb_template(b, 1, entries, LEAVES, 4, captures, 2);
}

static void evaluate(struct trace_builder * b, uint32_t graph, const int64_t * ids, const uint32_t * experts,
                     size_t n) {
    struct payload p;
    payload_begin(&p);
    tb_put_series(&p.out, ids, n);
    tb_put_each(&p.out, experts, n);
    tb_evaluation(b, (struct tb_evaluation){ .template_id = graph,
                                             .rule = 0,
                                             .n_callbacks = 4,
                                             .captures = p.bytes,
                                             .captures_bytes = (size_t) (p.out.at - p.bytes) });
}

static struct tat_trace * make(const struct recipe * recipe) {
    const uint32_t first[2] = { recipe->first, recipe->first };
    struct trace_builder b;
    struct tat_error error = { 0 };
    static uint8_t made;
    tb_begin(&b);
    tb_header(&b)->run_id[recipe->recording ? 0 : 1] = recipe->recording ? recipe->recording : ++made;
    if (recipe->ticks_per_second) { tb_header(&b)->ticks_per_second = recipe->ticks_per_second; }
    tb_seal(&b);
    const struct tensors t = add_tensors(&b, recipe->extra);
    const uint32_t prompt = add_graph(&b, &t, 2, recipe->extra), token = add_graph(&b, &t, 1, recipe->extra);
    evaluate(&b, prompt, recipe->prompt, first, 2);
    const int generated = recipe->generated ? recipe->generated : GENERATED;
    for (int i = 0; i < generated; i++) { evaluate(&b, token, &(const int64_t){ 50 + i }, &recipe->expert[i], 1); }
    tb_end(&b);
    struct tat_trace * trace = tb_open(&b, &error);
    if (!trace) { fail_msg("%s", error.message); }
    assert_int_equal(tat_trace_summary(trace)->undecodable_blocks, 0);
    tb_free(&b);
    return trace;
}

static json_t * diff(const struct recipe * recipes, size_t n) {
    struct tat_trace * traces[MOST] = { 0 };
    struct tat_error error = { 0 };
    for (size_t i = 0; i < n; i++) { traces[i] = make(&recipes[i]); }
    char * text = tat_diff((const struct tat_trace * const *) traces, n, NULL, 0, &error);
    if (!text) { fail_msg("%s", error.message); }
    json_t * all = json_loads(text, 0, NULL);
    assert_non_null(all);
    free(text);
    for (size_t i = 0; i < n; i++) { tat_trace_close(traces[i]); }
    return all;
}

/* The member at "experts/tables/layers/rows/0/cramer_v". */
static const json_t * at(const json_t * json, const char * path) {
    char part[64];
    while (json && *path) {
        const size_t n = strcspn(path, "/");
        snprintf(part, sizeof part, "%.*s", (int) n, path);
        json = json_is_array(json) ? json_array_get(json, (size_t) atoi(part)) : json_object_get(json, part);
        path += n + (path[n] == '/');
    }
    return json;
}

static double number(const json_t * json, const char * path) {
    const json_t * value = at(json, path);
    if (!json_is_number(value)) { fail_msg("%s is not a number", path); }
    return json_number_value(value);
}

static void assert_number(const json_t * json, const char * path, double expected) {
    const double value = number(json, path);
    if (fabs(value - expected) > 1e-9 * fmax(1, fabs(expected))) {
        fail_msg("%s: %.12g, not %.12g", path, value, expected);
    }
}

static void assert_says(const json_t * json, const char * path, const char * words) {
    const char * text = json_string_value(at(json, path));
    if (!text || !strstr(text, words)) { fail_msg("%s: '%s' does not say '%s'", path, text ? text : "nothing", words); }
}

/* ---- cases ---- */

#define PLAIN                                                                                                          \
    {                                                                                                                  \
        .prompt = { 7, 9 }                                                                                             \
    }

static void identical_runs(void ** state) {
    (void) state;
    const struct recipe recipes[] = { PLAIN, PLAIN };
    json_t * all = diff(recipes, 2);
    assert_number(all, "runs/values/setups", 1);
    assert_true(json_is_false(at(all, "tensors/values/differs")));
    assert_true(json_is_false(at(all, "experts/values/differs")));
    assert_true(json_is_false(at(all, "order/values/differs")));
    assert_number(all, "tensors/values/weights_in_both", 3);
    assert_number(all, "experts/tables/layers/rows/0/total_variation", 0);
    assert_number(all, "order/tables/pairs/rows/0/slices_alike", GENERATED);
    assert_says(all, "tensors/headline", "the same number of bytes and accesses per generated token.");
    assert_says(all, "order/headline", "Identical");
    assert_says(all, "time/headline", "repeat each other");
    assert_true(json_is_true(at(all, "patterns/absent")));
    json_decref(all);
}

static void one_tensor_more(void ** state) {
    (void) state;
    const struct recipe recipes[] = { PLAIN, { .prompt = { 7, 9 }, .extra = true } };
    json_t * all = diff(recipes, 2);
    assert_true(json_is_true(at(all, "tensors/values/differs")));
    assert_number(all, "tensors/values/weights_in_both", 3);
    assert_number(all, "tensors/values/weights_read_differently", 0);
    assert_number(all, "tensors/values/weights_in_one", 1);
    assert_says(all, "tensors/tables/only/rows/0/tensor", "output_norm.weight");
    assert_number(all, "tensors/tables/only/rows/0/bytes_b", 32);
    assert_null(at(all, "tensors/tables/only/rows/0/bytes_a"));
    /* The third weight that a token reads is the first to differ. */
    assert_number(all, "order/tables/pairs/rows/0/weights_alike", 0);
    assert_number(all, "order/tables/pairs/rows/0/weights_first/token", 0);
    assert_number(all, "order/tables/pairs/rows/0/weights_first/read", 2);
    assert_says(all, "order/tables/pairs/rows/0/weights_first/a", "output.weight");
    assert_says(all, "order/tables/pairs/rows/0/weights_first/b", "output_norm.weight");
    json_decref(all);
}

/* A: 8 choices of expert 0. B: 4 of 0 and 4 of 1. */
#define SPREAD                                                                                                         \
    {                                                                                                                  \
        .prompt = { 7, 9 }, .expert = { 0, 1, 1, 1, 1, 0 }                                                             \
    }

static void known_distance_of_experts(void ** state) {
    (void) state;
    const struct recipe recipes[] = { PLAIN, SPREAD };
    json_t * all = diff(recipes, 2);
    const json_t * layer = at(all, "experts/tables/layers/rows/0");
    assert_number(layer, "selections_a", 8);
    assert_number(layer, "selections_b", 8);
    assert_number(layer, "counts_b/1", 4);
    assert_number(layer, "total_variation", 0.5);
    assert_number(layer, "jensen_shannon_bits", (log2(4.0 / 3) + (log2(2.0 / 3) + 1) / 2) / 2);
    assert_number(layer, "chi_square", 2 * 4.0 / 6 + 2 * 4.0 / 2);
    assert_number(layer, "degrees_of_freedom", 1);
    assert_number(layer, "cramer_v", sqrt(16.0 / 3 / 16));
    assert_number(layer, "cramer_v_by_chance", sqrt(1.0 / 16));
    /* B's halves by token: 0 0 0 1, then 1 1 1 0. A's are alike. */
    assert_number(layer, "halves_within", (0 + 0.5) / 2);
    assert_number(layer, "halves_across", (0.25 + 0.75) / 2);
    assert_false(json_is_number(at(layer, "p"))); /* one run of each */
    assert_true(json_is_true(at(all, "experts/values/differs")));
    assert_true(json_is_false(at(all, "tensors/values/differs")));
    assert_says(all, "tensors/headline",
                "the same number of bytes and accesses per generated token, though not always the");
    assert_number(all, "order/tables/pairs/rows/0/weights_alike", GENERATED);
    assert_number(all, "order/tables/pairs/rows/0/slices_alike", 1);
    assert_says(all, "order/tables/pairs/rows/0/slices_first/b", "expert 1 of blk.0.ffn_up_exps.weight");
    json_decref(all);
}

/* Four repeats of a greedy run say no more about what is chosen than one. */
static void copies_of_a_run_count_once(void ** state) {
    (void) state;
    const struct recipe a = PLAIN, b = { .prompt = { 8, 9 }, .expert = { 0, 1, 1, 1, 1, 0 } };
    const struct recipe recipes[] = { a, b, a, b, a, a, b, b };
    for (size_t n = 2; n <= 8; n += n) {
        json_t * all = diff(recipes, n);
        const json_t * layer = at(all, "experts/tables/layers/rows/0");
        assert_number(all, "runs/values/setups", 2);
        assert_number(layer, "selections_a", 8);
        assert_number(layer, "selections_b", 8);
        assert_number(layer, "chi_square", 2 * 4.0 / 6 + 2 * 4.0 / 2);
        assert_false(json_is_number(at(layer, "p")));
        assert_null(at(layer, "p_if_independent"));
        if (n > 2) {
            assert_says(all, "experts/lines/0/text", n == 4 ? "1 of its 2 runs routes" : "3 of its 4 runs route");
        }
        json_decref(all);
    }
}

/* Three runs of each setup, all different; those of B choose expert 1 more often. Of the 20 ways to deal six runs to
 * two sides, the one seen and its mirror image lie farthest apart. The seventh run repeats the sixth. */
static void experts_are_tested_over_runs(void ** state) {
    (void) state;
    const struct recipe recipes[] = {
        { .prompt = { 7, 9 }, .expert = { 0, 0, 0, 0, 0, 0 } }, { .prompt = { 7, 9 }, .expert = { 0, 0, 0, 0, 0, 1 } },
        { .prompt = { 7, 9 }, .expert = { 0, 0, 0, 0, 1, 1 } }, { .prompt = { 8, 9 }, .expert = { 0, 0, 0, 1, 1, 1 } },
        { .prompt = { 8, 9 }, .expert = { 0, 0, 1, 1, 1, 1 } }, { .prompt = { 8, 9 }, .expert = { 0, 1, 1, 1, 1, 1 } },
        { .prompt = { 8, 9 }, .expert = { 0, 1, 1, 1, 1, 1 } },
    };
    json_t * all = diff(recipes, 7);
    assert_number(all, "experts/values/runs_a", 3);
    assert_number(all, "experts/values/runs_b", 3);
    assert_number(all, "experts/values/p", 2.0 / 20);
    assert_number(all, "experts/values/least_p", 2.0 / 20);
    assert_number(all, "experts/tables/layers/rows/0/p", 2.0 / 20);
    assert_number(all, "experts/tables/layers/rows/0/total_variation", 9.0 / 24);
    json_decref(all);
}

/* A chooses 0 0 0 1. B is twice as long: 0 0 1 1, then 1 1 1 1. A half has two tokens, in B too. */
static void halves_are_of_equal_size(void ** state) {
    (void) state;
    const struct recipe recipes[] = {
        { .prompt = { 7, 9 }, .expert = { 0, 1, 0, 0, 0, 0 }, .generated = 2 },
        { .prompt = { 8, 9 }, .expert = { 1, 1, 1, 1, 1, 1 }, .generated = 6 },
    };
    json_t * all = diff(recipes, 2);
    const json_t * layer = at(all, "experts/tables/layers/rows/0");
    assert_number(all, "experts/values/half_tokens", 2);
    assert_number(layer, "selections_b", 8);
    assert_number(layer, "total_variation", 0.5);                   /* 3 and 1 against 2 and 6 */
    assert_number(layer, "halves_within", (0.5 + 1) / 2);           /* 0 0 | 0 1, and 0 0 | 1 1 */
    assert_number(layer, "halves_across", (0 + 1 + 0.5 + 0.5) / 4); /* the first and the second with each */
    json_decref(all);
}

/* A recording that is named twice is one sample of time, too. */
static void a_recording_counts_once(void ** state) {
    (void) state;
    const struct recipe a = { .prompt = { 7, 9 }, .recording = 1 },
                        b = { .prompt = { 8, 9 }, .recording = 2, .ticks_per_second = 500000000 };
    const struct recipe recipes[] = { a, a, a, b, b, b };
    json_t * all = diff(recipes, 6);
    assert_number(all, "runs/values/setups", 2);
    assert_number(all, "time/tables/rates/rows/1/runs_a", 1);
    assert_false(json_is_number(at(all, "time/tables/rates/rows/1/p")));
    assert_says(all, "time/headline", "without repeated runs this may be chance");
    json_decref(all);
}

/* The layer has no expert for these ids, so nothing was chosen, and that counts as alike. */
static void experts_that_nobody_is(void ** state) {
    (void) state;
    const struct recipe recipes[] = { { .prompt = { 7, 9 }, .expert = { 9, 9, 9, 9, 9, 9 }, .first = 9 },
                                      { .prompt = { 7, 9 }, .expert = { 9, 9, 9, 9, 9, 9 }, .first = 9 },
                                      PLAIN };
    json_t * all = diff(recipes, 2);
    assert_true(json_is_false(at(all, "experts/values/differs")));
    assert_number(all, "experts/values/layers_unlike", 0);
    json_decref(all);
    all = diff(recipes + 1, 2);
    assert_true(json_is_true(at(all, "experts/values/differs")));
    assert_number(all, "experts/values/layers_unlike", 1);
    json_decref(all);
}

static void other_prompts_are_other_setups(void ** state) {
    (void) state;
    const struct recipe recipes[] = { PLAIN, { .prompt = { 7, 10 } }, PLAIN };
    json_t * all = diff(recipes, 3);
    assert_number(all, "runs/values/setups", 2);
    assert_number(all, "runs/tables/runs/rows/0/setup", 1);
    assert_number(all, "runs/tables/runs/rows/1/setup", 2);
    assert_number(all, "runs/tables/runs/rows/2/setup", 1);
    assert_says(all, "runs/tables/setups/rows/0/difference", "prompt: 2 tokens, then 2, other ones");
    assert_says(all, "runs/tables/setups/rows/0/from", "A+C");
    json_decref(all);
}

/* A token takes 500 ticks. */
static double rate(double ticks_per_second) {
    return ticks_per_second / 500;
}

static void repeated_runs_give_an_interval(void ** state) {
    (void) state;
    const struct recipe recipes[] = {
        { .prompt = { 7, 9 }, .ticks_per_second = 1000000000 }, { .prompt = { 7, 9 }, .ticks_per_second = 1010000000 },
        { .prompt = { 7, 9 }, .ticks_per_second = 990000000 },  { .prompt = { 8, 9 }, .ticks_per_second = 500000000 },
        { .prompt = { 8, 9 }, .ticks_per_second = 505000000 },  { .prompt = { 8, 9 }, .ticks_per_second = 495000000 },
    };
    json_t * all = diff(recipes, 6);
    const json_t * generation = at(all, "time/tables/rates/rows/1");
    assert_says(generation, "phase", "generation");
    assert_true(fabs(number(generation, "mean_a") / rate(1e9) - 1) < 0.005); /* times are in whole nanoseconds */
    assert_true(fabs(number(generation, "change") + 0.5) < 0.005);
    assert_true(number(generation, "change_low") < -0.5 && number(generation, "change_low") > -0.53);
    assert_true(number(generation, "change_high") > -0.5 && number(generation, "change_high") < -0.47);
    assert_number(generation, "p", 0.1);
    assert_true(json_is_true(at(generation, "p_exact")));
    assert_says(all, "time/headline", "beyond chance");
    assert_says(all, "time/tables/operations/rows/0/clear", "yes");
    assert_null(at(all, "time/tables/tokens/rows/0"));
    json_decref(all);
}

static void single_runs_give_a_warning(void ** state) {
    (void) state;
    const struct recipe recipes[] = { PLAIN, { .prompt = { 8, 9 }, .ticks_per_second = 500000000 } };
    json_t * all = diff(recipes, 2);
    assert_null(at(all, "time/tables/rates/rows/0/p"));
    assert_number(all, "time/tables/tokens/rows/0/slower", 1);
    assert_says(all, "time/headline", "without repeated runs this may be chance");
    assert_says(all, "time/notes/0", "Record each setup three times or more");
    json_decref(all);
}

/* Accesses of the embedding, four experts and the output: A 7 7 0 0 0 7, B 7 3 4 0 0 7. Ranks with ties give 10.5 /
 * sqrt(13.5 * 16.5). */
static void patterns_of_three(void ** state) {
    (void) state;
    const struct recipe recipes[] = { PLAIN, SPREAD, PLAIN };
    json_t * all = diff(recipes, 3);
    const json_t * matrices = at(all, "patterns/values/matrices");
    const double rho = 10.5 / sqrt(13.5 * 16.5);
    assert_number(matrices, "hotness_by_name/0/1", rho);
    assert_number(matrices, "hotness_by_name/1/0", rho);
    assert_number(matrices, "hotness_by_name/1/2", rho);
    assert_number(matrices, "hotness_by_name/0/2", 1);
    assert_number(matrices, "hotness_by_name/1/1", 1);
    assert_number(matrices, "expert_variation/0/1", 0.5);
    assert_number(matrices, "expert_variation/2/0", 0);
    assert_number(matrices, "identical_order/2/1", 1);
    assert_says(all, "patterns/headline", "3 of 3 pairs");
    json_decref(all);
}

static void wrong_use(void ** state) {
    (void) state;
    const struct recipe recipe = PLAIN;
    struct tat_trace * trace = make(&recipe);
    const struct tat_trace * const traces[] = { trace, trace };
    struct tat_error error = { 0 };
    assert_null(tat_diff(traces, 1, NULL, 0, &error));
    assert_int_equal(error.kind, TAT_ERROR_USAGE);
    assert_null(tat_diff(traces, 2, (const char * const[]){ "taste" }, 1, &error));
    assert_int_equal(error.kind, TAT_ERROR_USAGE);
    assert_non_null(strstr(error.message, "no section 'taste'"));
    char * text = tat_diff(traces, 2, (const char * const[]){ "order" }, 1, &error);
    assert_non_null(text);
    assert_int_equal(strncmp(text, "{\"order\":", 9), 0);
    free(text);
    tat_trace_close(trace);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(identical_runs),
        cmocka_unit_test(one_tensor_more),
        cmocka_unit_test(known_distance_of_experts),
        cmocka_unit_test(copies_of_a_run_count_once),
        cmocka_unit_test(experts_are_tested_over_runs),
        cmocka_unit_test(halves_are_of_equal_size),
        cmocka_unit_test(a_recording_counts_once),
        cmocka_unit_test(experts_that_nobody_is),
        cmocka_unit_test(other_prompts_are_other_setups),
        cmocka_unit_test(repeated_runs_give_an_interval),
        cmocka_unit_test(single_runs_give_a_warning),
        cmocka_unit_test(patterns_of_three),
        cmocka_unit_test(wrong_use),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
