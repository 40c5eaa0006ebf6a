/* SPDX-License-Identifier: MIT
 *
 * Which layer is called a bottleneck, in traces whose noise is known: made of so much for each layer, and more of what
 * others took from a few tokens.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "section.h"
#include "tat/diff.h"

enum { LAYERS = 12, TOKENS = 90, RUNS = 5, USUAL = 1000 };

/* A graph of one token: rows of the embedding, and a product in each layer. */
static void begin(struct trace_builder * b) {
    static char names[LAYERS][2][32];
    struct tb_entry entries[2 * LAYERS + 3];
    const struct tb_tensor weight = {
        .kind = TAT_TENSOR_WEIGHT, .memory = TAT_MEMORY_FILE, .ne = { 8, 8 }, .name = "token_embd.weight"
    };
    const struct tb_tensor result = {
        .kind = TAT_TENSOR_ACTIVATION, .memory = TAT_MEMORY_BUFFER, .ne = { 8 }, .name = "inp_embd"
    };
    tb_begin(b);
    const uint32_t embd = tb_tensor(b, weight), x = tb_tensor(b, result);
    enum { LEAVES = LAYERS + 2 };
    entries[0] = (struct tb_entry){ .name = "token_embd.weight", .tensor = embd, .ne = { 8, 8 } };
    entries[1] = (struct tb_entry){ .name = "inp_tokens", .tensor = x, .ne = { 1 } };
    entries[LEAVES] = (struct tb_entry){
        .name = "inp_embd", .op = "GET_ROWS", .tensor = x, .ne = { 8 }, .facts = TAT_NODE_COMPUTE, .src = { 1, 2 }
    };
    for (int i = 0; i < LAYERS; i++) {
        struct tb_tensor up = weight;
        snprintf(names[i][0], sizeof names[i][0], "blk.%d.ffn_up.weight", i);
        snprintf(names[i][1], sizeof names[i][1], "ffn_up-%d", i);
        up.name = names[i][0];
        entries[2 + i] = (struct tb_entry){ .name = names[i][0], .tensor = tb_tensor(b, up), .ne = { 8, 8 } };
        entries[LEAVES + 1 + i] = (struct tb_entry){ .name = names[i][1],
                                                     .op = "MUL_MAT",
                                                     .tensor = x,
                                                     .ne = { 8 },
                                                     .facts = TAT_NODE_COMPUTE,
                                                     .src = { 3 + i, LEAVES + 1 + i } };
    }
    tb_template(b, 1, entries, LEAVES, LAYERS + 1, NULL, 0);
}

/* The first of a trace is the prompt, the others are generated tokens. */
static void evaluate(struct trace_builder * b, const uint64_t ns[LAYERS]) {
    uint64_t durations[LAYERS + 1] = { USUAL };
    memcpy(durations + 1, ns, LAYERS * sizeof *ns);
    tb_evaluation(b, (struct tb_evaluation){ .n_callbacks = LAYERS + 1, .durations = durations });
}

static void set_all(uint64_t ns[LAYERS], uint64_t to) {
    for (int i = 0; i < LAYERS; i++) { ns[i] = to; }
}

/* Reproducible noise. */
static uint64_t chance(uint64_t * seed, uint64_t below) {
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (*seed >> 33) % below;
}

/* Each layer within 3 %, each token up to twice as long as others as a whole, and in a tenth of them somebody else had
 * the processor for 20 times a layer's time, wherever that was. Layer `slow` takes `more` on top. */
static void evaluate_noisily(struct trace_builder * b, uint64_t * seed, int slow, uint64_t more) {
    uint64_t ns[LAYERS];
    const uint64_t pace = USUAL + chance(seed, USUAL);
    for (int i = 0; i < LAYERS; i++) { ns[i] = pace + chance(seed, pace * 3 / 100); }
    ns[slow] += pace * more / 100;
    if (chance(seed, 10) == 0) { ns[chance(seed, LAYERS)] += 20 * pace; }
    evaluate(b, ns);
}

/* ---- the answer ---- */

static json_t * value(const json_t * section, const char * key) {
    json_t * v = json_object_get(json_object_get(section, "values"), key);
    assert_non_null(v);
    return v;
}

static const char * answer(const json_t * section) {
    return json_string_value(json_object_get(json_array_get(json_object_get(section, "answers"), 0), "answer"));
}

static void expect_answer(const json_t * section, const char * beginning) {
    if (strncmp(answer(section), beginning, strlen(beginning)) != 0) { fail_msg("%s", answer(section)); }
}

static void expect_bottlenecks(const json_t * section, const int * layers, size_t n) {
    const json_t * found = value(section, "bottlenecks");
    assert_int_equal(json_array_size(found), n);
    for (size_t i = 0; i < n; i++) { assert_int_equal(json_integer_value(json_array_get(found, i)), layers[i]); }
}

static void two_slow_tokens_make_no_bottleneck(void ** state) {
    (void) state;
    struct trace_builder b;
    uint64_t ns[LAYERS];
    begin(&b);
    for (int i = 0; i <= TOKENS; i++) {
        set_all(ns, USUAL);
        if (i == 40 || i == 41) { ns[7] = 20 * USUAL; }
        evaluate(&b, ns);
    }
    json_t * s = section_of_all(&b, "layers");
    expect_answer(s, "None: ");
    assert_non_null(strstr(answer(s), "In sum layer 7 takes 1.37 times as long as the average layer, but half of that "
                                      "excess lies on 1 of 90 generated tokens: it is noise."));
    expect_bottlenecks(s, NULL, 0);
    assert_int_equal(json_integer_value(value(s, "tokens")), TOKENS);
    assert_int_equal(json_integer_value(value(s, "largest_sum_layer")), 7);
    json_decref(s);
}

/* Layer 7 is the slowest in the median, but in six parts of ten only; layer 3 is slower all the time. */
static void a_bottleneck_behind_one_that_comes_and_goes(void ** state) {
    (void) state;
    struct trace_builder b;
    uint64_t ns[LAYERS];
    begin(&b);
    for (int i = 0; i <= TOKENS; i++) {
        set_all(ns, USUAL);
        ns[3] = USUAL * 13 / 10;
        if (i <= TOKENS * 6 / 10) { ns[7] = 2 * USUAL; }
        evaluate(&b, ns);
    }
    json_t * s = section_of_all(&b, "layers");
    expect_answer(s, "Layer 3: ");
    expect_bottlenecks(s, (const int[]){ 3 }, 1);
    json_decref(s);
}

static void slower_in_the_median_is_a_bottleneck(void ** state) {
    (void) state;
    struct trace_builder b;
    uint64_t ns[LAYERS];
    begin(&b);
    for (int i = 0; i <= TOKENS; i++) {
        set_all(ns, USUAL);
        ns[3] = 1300;
        ns[9] = 1200;
        evaluate(&b, ns);
    }
    json_t * s = section_of_all(&b, "layers");
    expect_answer(
        s,
        "Layer 3: in the median it takes 1.30 times as long as the median layer of the same generated token, and in 10 "
        "of 10 parts of the run at least 1.1 times; so does layer 9. Its bytes, 1.00 times the average's, "
        "do not explain that. Most of the difference lies with ffn_up: 258 ns.");
    expect_bottlenecks(s, (const int[]){ 3, 9 }, 2);
    json_decref(s);
}

/* Half of the run: somebody else, not the layer. */
static void slower_for_a_while_is_not(void ** state) {
    (void) state;
    struct trace_builder b;
    uint64_t ns[LAYERS];
    begin(&b);
    for (int i = 0; i <= TOKENS; i++) {
        set_all(ns, USUAL);
        if (i < 50) { ns[2] = 1500; }
        evaluate(&b, ns);
    }
    json_t * s = section_of_all(&b, "layers");
    expect_answer(
        s, "None that stands out from the run's own variation: in the median, layer 2 takes 1.50 times as long as "
           "the median layer of the same generated token, but at least 1.1 times in only 5 of 10 parts");
    expect_bottlenecks(s, NULL, 0);
    json_decref(s);
}

/* Tokens of three kinds: one is slow as a whole, so layer 9 leads by the median of its times, and layer 3 by the median
 * of what it takes by the median layer of its token. */
static void what_layers_are_ranked_by_is_said(void ** state) {
    (void) state;
    static const uint64_t scale[] = { 1, 2, 10 }, third[] = { 2, 3, 10 }, ninth[] = { 4, 2, 10 };
    struct trace_builder b;
    uint64_t ns[LAYERS];
    begin(&b);
    for (int i = 0; i <= TOKENS; i++) {
        set_all(ns, USUAL * scale[i % 3]);
        ns[3] = USUAL * third[i % 3];
        ns[9] = USUAL * ninth[i % 3];
        evaluate(&b, ns);
    }
    json_t * s = section_of_all(&b, "layers");
    assert_string_equal(
        json_string_value(json_object_get(s, "headline")),
        "Compared with the median layer of the same generated token, layer 3 takes longest: 1.50 times as "
        "long. By its median time alone, 3.00 us, it does not: layer 9 takes 4.00 us.");
    expect_answer(s, "Layer 3: ");
    assert_non_null(strstr(answer(s), " By median time alone it is layer 9."));
    assert_int_equal(json_integer_value(value(s, "longest_median_layer")), 9);
    assert_int_equal(json_integer_value(value(s, "longest_median_ns")), 4 * USUAL);
    json_decref(s);
}

static void few_tokens_tell_nothing(void ** state) {
    (void) state;
    uint64_t ns[LAYERS];
    set_all(ns, USUAL);
    ns[5] = 3 * USUAL;
    for (int tokens = 4; tokens <= 5; tokens++) {
        struct trace_builder b;
        begin(&b);
        for (int i = 0; i <= tokens; i++) { evaluate(&b, ns); }
        json_t * s = section_of_all(&b, "layers");
        expect_answer(s, tokens < 5 ? "Too few tokens to tell. Layer 5 takes longest, 3.00 times" : "Layer 5: ");
        json_decref(s);
    }
}

/* ---- repeated runs ---- */

static struct tat_trace * noisy_run(struct trace_builder * b, uint64_t seed, uint64_t more) {
    struct tat_error error = { 0 };
    begin(b);
    for (int i = 0; i <= TOKENS; i++) { evaluate_noisily(b, &seed, 4, more); }
    tb_end(b);
    struct tat_trace * trace = tb_open(b, &error);
    if (!trace) { fail_msg("%s", error.message); }
    return trace;
}

static json_t * slowest_of_runs(uint64_t more) {
    static const char * const names[] = { "layers" };
    struct trace_builder b[RUNS];
    struct tat_trace * traces[RUNS];
    struct tat_error error = { 0 };
    for (int i = 0; i < RUNS; i++) { traces[i] = noisy_run(&b[i], (uint64_t) i + 1, more); }
    char * text = tat_diff((const struct tat_trace * const *) traces, RUNS, names, 1, &error);
    if (!text) { fail_msg("%s", error.message); }
    json_t * all = json_loads(text, 0, NULL);
    json_t * section = json_incref(json_object_get(all, "layers"));
    for (int i = 0; i < RUNS; i++) {
        tat_trace_close(traces[i]);
        tb_free(&b[i]);
    }
    json_decref(all);
    free(text);
    return section;
}

/* By sums, they do not. */
static void repeated_runs_have_the_same_bottleneck(void ** state) {
    (void) state;
    unsigned by_sum = 0;
    for (uint64_t seed = 1; seed <= RUNS; seed++) {
        struct trace_builder b;
        json_t * s = section_of(&b, noisy_run(&b, seed, 25), "layers", NULL);
        expect_bottlenecks(s, (const int[]){ 4 }, 1);
        by_sum += json_integer_value(value(s, "largest_sum_layer")) == 4;
        json_decref(s);
    }
    assert_true(by_sum < RUNS);
    json_t * s = slowest_of_runs(25);
    assert_int_equal(json_integer_value(value(s, "layer")), 4);
    assert_int_equal(json_integer_value(value(s, "bottleneck_runs")), RUNS);
    assert_non_null(
        strstr(json_string_value(json_object_get(s, "headline")), "Layer 4 is the bottleneck in 5 of 5 runs: 1.2"));
    json_decref(s);
}

static void noise_alone_has_none(void ** state) {
    (void) state;
    json_t * s = slowest_of_runs(0);
    assert_int_equal(json_integer_value(value(s, "bottleneck_runs")), 0);
    assert_int_equal(strncmp(json_string_value(json_object_get(s, "headline")), "No run has a bottleneck. ", 25), 0);
    json_decref(s);
}

/* ---- operations and graphs ---- */

/* Two tokens take most of the sum for reading rows; products lead in all the others. */
static void the_leading_operation_is_that_of_the_median_token(void ** state) {
    (void) state;
    struct trace_builder b;
    begin(&b);
    for (int i = 0; i <= TOKENS; i++) {
        uint64_t durations[LAYERS + 1];
        for (int k = 0; k <= LAYERS; k++) { durations[k] = USUAL; }
        if (i == 3 || i == 4) { durations[0] = 10000 * USUAL; }
        tb_evaluation(&b, (struct tb_evaluation){ .n_callbacks = LAYERS + 1, .durations = durations });
    }
    json_t * s = section_of_all(&b, "time");
    const char * headline = json_string_value(json_object_get(s, "headline"));
    assert_string_equal(headline, "MUL_MAT takes 92.3 % of the median generated token's time; by part of the model, "
                                  "ffn_up takes most: 92.3 %.");
    assert_int_equal(json_integer_value(value(s, "leading_operation_tokens")), TOKENS - 2);
    json_decref(s);
}

static void percentiles_are_nearest_ranks(void ** state) {
    (void) state;
    struct trace_builder b;
    uint64_t ns[LAYERS];
    begin(&b);
    for (int i = 0; i <= 100; i++) { /* the prompt, then 101, 102, ... times 12, and the rest */
        set_all(ns, 100 + (uint64_t) i);
        evaluate(&b, ns);
    }
    json_t * s = section_of_all(&b, "phases");
    const json_t * row =
        json_array_get(json_object_get(json_object_get(json_object_get(s, "tables"), "pace"), "rows"), 1);
    const json_int_t rest = USUAL + TB_CALLBACK_NS;
    assert_int_equal(json_integer_value(json_object_get(row, "p50_ns")), 150 * LAYERS + rest);
    assert_int_equal(json_integer_value(json_object_get(row, "p90_ns")), 190 * LAYERS + rest);
    assert_int_equal(json_integer_value(json_object_get(row, "p99_ns")), 199 * LAYERS + rest);
    assert_int_equal(json_integer_value(json_object_get(row, "most_ns")), 200 * LAYERS + rest);
    json_decref(s);
}

/* ---- the machine ---- */

enum { SECOND = 1000000000 };

/* One second, in which the process used 1.5 processors and all that is busy is `busy` of 2. */
static json_t * run_with(uint64_t busy_us, uint64_t stolen_us) {
    struct trace_builder b;
    uint64_t ns[LAYERS];
    set_all(ns, SECOND / LAYERS);
    begin(&b);
    tb_event(&b, TAT_EVENT_USAGE, 1, (const uint64_t[]){ 100, 0, 5, 1, 7, 2, 4096 }, 7, NULL);
    tb_event(&b, TAT_EVENT_MACHINE, 1, (const uint64_t[]){ 2, 1000, 1000, 0, 0, 3000000, 4000000 }, 7, NULL);
    evaluate(&b, ns);
    tb_event(&b, TAT_EVENT_USAGE, SECOND + 1, (const uint64_t[]){ 1400100, 100000, 1005, 3, 17, 42, 4096 + (2 << 20) },
             7, NULL);
    tb_event(&b, TAT_EVENT_MACHINE, SECOND + 1,
             (const uint64_t[]){ 2, 1000 + busy_us, 1000, stolen_us, 0, 3500000, 4000000 }, 7, NULL);
    return section_of_all(&b, "run");
}

static const char * line(const json_t * section, const char * label) {
    size_t i;
    const json_t * l;
    json_array_foreach(json_object_get(section, "lines"), i, l) {
        if (strcmp(json_string_value(json_object_get(l, "label")), label) == 0) {
            return json_string_value(json_object_get(l, "text"));
        }
    }
    return NULL;
}

static void a_busy_machine_is_told_of(void ** state) {
    (void) state;
    json_t * s = run_with(1500000, 0);
    assert_string_equal(line(s, "others"), "other programs used 0.00 of 2 processors, other machines 0.00");
    assert_string_equal(line(s, "usage"),
                        "1.50 processors; 10 switches of threads that waited, 40 of threads that were "
                        "made to; 2 page faults that read 2.00 MiB from disk");
    assert_string_equal(line(s, "clock"), "3.00 GHz at the beginning, 3.50 at the end, 4.00 at most");
    assert_null(line(s, "BUSY"));
    json_decref(s);
    s = run_with(1900000, 0); /* 0.4 of two are others': a fifth of what two threads want */
    assert_string_equal(line(s, "BUSY"),
                        "other programs used 0.40 of 2 processors, other machines 0.00: times are longer "
                        "than on an idle machine");
    const json_t * lost = json_object_get(value(s, "machine"), "lost_share");
    assert_true(json_real_value(lost) > 0.199 && json_real_value(lost) < 0.201);
    json_decref(s);
    s = run_with(1500000, 200000);
    assert_non_null(line(s, "BUSY"));
    json_decref(s);
}

static void older_traces_tell_nothing_of_the_machine(void ** state) {
    (void) state;
    struct trace_builder b;
    uint64_t ns[LAYERS];
    set_all(ns, USUAL);
    begin(&b);
    evaluate(&b, ns);
    json_t * s = section_of_all(&b, "run");
    assert_null(line(s, "usage"));
    assert_null(json_object_get(json_object_get(s, "values"), "machine"));
    json_decref(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_slow_tokens_make_no_bottleneck),
        cmocka_unit_test(slower_in_the_median_is_a_bottleneck),
        cmocka_unit_test(a_bottleneck_behind_one_that_comes_and_goes),
        cmocka_unit_test(slower_for_a_while_is_not),
        cmocka_unit_test(what_layers_are_ranked_by_is_said),
        cmocka_unit_test(few_tokens_tell_nothing),
        cmocka_unit_test(repeated_runs_have_the_same_bottleneck),
        cmocka_unit_test(noise_alone_has_none),
        cmocka_unit_test(the_leading_operation_is_that_of_the_median_token),
        cmocka_unit_test(percentiles_are_nearest_ranks),
        cmocka_unit_test(a_busy_machine_is_told_of),
        cmocka_unit_test(older_traces_tell_nothing_of_the_machine),
    };
    return cmocka_run_group_tests_name("bottleneck", tests, NULL, NULL);
}
