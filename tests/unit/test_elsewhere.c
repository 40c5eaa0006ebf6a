/* SPDX-License-Identifier: MIT
 *
 * A report leaves out what another backend computed in part, and says so first; and how drafts fared.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "analysis/analysis.h"
#include "analysis/live.h"
#include "tat/diff.h"
#include "tat/run.h"
#include "trace_builder.h"

enum { ROW = 32 }; /* bytes */

struct fixture {
    struct trace_builder b;
    uint32_t embd, input, out;
    json_t * answer;
    uint32_t flags; /* of evaluations */
};

static void begin(struct fixture * f) {
    f->flags = 0;
    tb_begin(&f->b);
    f->embd = tb_tensor(&f->b, (struct tb_tensor){ .name = "token_embd.weight",
                                                   .kind = TAT_TENSOR_WEIGHT,
                                                   .memory = TAT_MEMORY_COPY,
                                                   .ne = { ROW / 4, 100 } });
    f->input = tb_tensor(
        &f->b,
        (struct tb_tensor){ .name = "inp", .kind = TAT_TENSOR_INPUT, .memory = TAT_MEMORY_BUFFER, .ne = { 64 } });
    f->out = tb_tensor(
        &f->b, (struct tb_tensor){
                   .name = "out", .kind = TAT_TENSOR_ACTIVATION, .memory = TAT_MEMORY_BUFFER, .ne = { ROW / 4, 64 } });
}

/* Rows at positions from `first` on. `result`: what comes out. */
static void compute(struct fixture * f, uint64_t rows, uint64_t outputs, int64_t first, const char * result) {
    static struct payload captures;
    int64_t ids[64], at[64];
    const struct tb_entry entries[] = {
        { .name = "token_embd.weight", .tensor = f->embd, .ne = { ROW / 4, 100 } },
        { .name = "inp_tokens", .tensor = f->input, .ne = { rows } },
        { .name = "inp_pos", .tensor = f->input, .ne = { rows } },
        { .name = "embd", .op = "GET_ROWS", .tensor = f->out, .ne = { ROW / 4, rows }, .src = { 1, 2 } },
        { .name = "Qcur-0", .op = "ROPE", .tensor = f->out, .ne = { ROW / 4, rows }, .src = { 4, 3 } },
        { .name = result, .op = "SCALE", .tensor = f->out, .ne = { ROW / 4, outputs }, .src = { 5 } },
    };
    const struct tb_capture capture[] = { { TAT_CAPTURE_ROWS, 1, 0, 1 }, { TAT_CAPTURE_POSITIONS, 2, 1, 1 } };
    for (uint32_t i = 0; i < rows; i++) {
        ids[i] = i;
        at[i] = first + i;
    }
    payload_begin(&captures);
    tb_put_series(&captures.out, ids, rows);
    tb_put_series(&captures.out, at, rows);
    tb_evaluation(&f->b, (struct tb_evaluation){ .template_id = tb_template(&f->b, 1, entries, 3, 3, capture, 2),
                                                 .n_callbacks = 3,
                                                 .flags = f->flags,
                                                 .captures = captures.bytes,
                                                 .captures_bytes = (size_t) (captures.out.at - captures.bytes) });
}

/* A graph behind the first one of a ubatch, which has no tokens of its own. */
static void go_on(struct fixture * f, const char * result) {
    const struct tb_entry entries[] = {
        { .name = "inp", .tensor = f->input, .ne = { 1 } },
        { .name = result, .op = "SCALE", .tensor = f->out, .ne = { ROW / 4, 1 }, .src = { 1 } },
    };
    tb_evaluation(&f->b, (struct tb_evaluation){ .template_id = tb_template(&f->b, 1, entries, 1, 1, NULL, 0),
                                                 .n_callbacks = 1 });
}

static json_t * section_of(struct fixture * f, const char * name, const struct tat_analysis_options * options) {
    struct tat_error error = { 0 };
    tb_end(&f->b);
    struct tat_trace * trace = tb_open(&f->b, &error);
    if (!trace) { fail_msg("%s", error.message); }
    f->answer = analyses_run(trace, &name, 1, options, &error);
    if (!f->answer) { fail_msg("%s", error.message); }
    tat_trace_close(trace);
    tb_free(&f->b);
    return json_object_get(f->answer, name);
}

static json_t * section(struct fixture * f, const char * name) {
    return section_of(f, name, NULL);
}

static const json_t * row_of(const json_t * section, const char * table, const char * phase) {
    size_t i;
    json_t * row;
    json_array_foreach(json_object_get(json_object_get(json_object_get(section, "tables"), table), "rows"), i, row) {
        if (strcmp(json_string_value(json_object_get(row, "phase")), phase) == 0) { return row; }
    }
    return NULL;
}

static void says(const json_t * section, const char * words) {
    const char * headline = json_string_value(json_object_get(section, "headline"));
    if (strncmp(headline, words, strlen(words)) != 0) { fail_msg("%s", headline); }
}

static int64_t value(const json_t * section, const char * name) {
    return json_integer_value(json_object_get(json_object_get(section, "values"), name));
}

/* A projector alone, or nothing but warm-up: each section says what was computed instead of tokens. */
static void graphs_without_tokens(void ** state) {
    (void) state;
    for (int kind = 0; kind < 3; kind++) {
        static const char * const told[] = { "The projector's 2 graphs take images or sound, not tokens: there is ",
                                             "The 2 graphs take no tokens: there is ",
                                             "Only the warm-up was computed: there is " };
        for (size_t i = 0; analyses[i]; i++) {
            struct fixture f;
            if (analyses[i] == &run_analysis) { continue; }
            begin(&f);
            tb_part(&f.b, "/m/a.gguf", 1, kind == 0 ? TAT_PART_PROJECTOR : TAT_PART_MODEL);
            const uint32_t weight = tb_tensor(&f.b, (struct tb_tensor){ .name = "v.patch_embd.weight",
                                                                        .kind = TAT_TENSOR_WEIGHT,
                                                                        .memory = TAT_MEMORY_FILE,
                                                                        .ne = { ROW / 4, 8 },
                                                                        .file = 1 });
            const struct tb_entry entries[] = {
                { .name = "v.patch_embd.weight", .tensor = weight, .ne = { ROW / 4, 8 } },
                { .name = "inp_raw", .tensor = f.input, .ne = { ROW / 4, 8 } },
                { .name = "patches", .op = "MUL_MAT", .tensor = f.out, .ne = { 8, 8 }, .src = { 1, 2 } },
            };
            const uint32_t t = tb_template(&f.b, 1, entries, 2, 1, NULL, 0);
            for (int n = 0; kind < 2 && n < 2; n++) {
                tb_evaluation(&f.b, (struct tb_evaluation){ .template_id = t, .n_callbacks = 1 });
            }
            if (kind == 2) {
                compute(&f, 2, 1, 0, "result_output");
                const uint64_t cleared[] = { 7, 2 };
                tb_event(&f.b, TAT_EVENT_MEMORY_CLEAR, f.b.tick - 10, cleared, 2, NULL);
            }
            says(section(&f, analyses[i]->name), told[kind]);
            json_decref(f.answer);
        }
    }
}

/* BLAS computes the products of a long prompt; the CPU computes the tokens after it. */
static void prompt_of_another_backend(void ** state) {
    (void) state;
    static const char * const names[] = { "phases", "tokens" };
    for (int i = 0; i < 2; i++) {
        struct fixture f;
        begin(&f);
        compute(&f, 40, 40, 0, "attn_norm-0");
        compute(&f, 1, 1, 40, "result_output");
        compute(&f, 1, 1, 41, "result_output");
        const json_t * s = section(&f, names[i]);
        says(s,
             "Another backend (BLAS, GPU) computed parts of 1 of 3 ubatches: nothing tells which bytes it touched, so "
             "they are in no figure. The others: ");
        assert_null(row_of(s, names[i], "prompt"));
        const json_t * generate = row_of(s, names[i], "generate");
        assert_int_equal(json_integer_value(json_object_get(generate, "tokens")), 2);
        assert_int_equal(json_integer_value(json_object_get(generate, "weight_bytes")), 2 * ROW);
        if (i == 0) { assert_non_null(row_of(s, "elsewhere", "prompt")); }
        json_decref(f.answer);
    }
}

/* A part of the trace knows as much of it: a ubatch's graphs stay together, though only the first has tokens. */
static void part_of_another_backend(void ** state) {
    (void) state;
    for (int split = 0; split < 2; split++) {
        for (int part = 0; part < 3; part++) {
            static const struct tat_scope scopes[] = { { .token_end = 0 }, { .token_end = 5 }, { 5, 7, 0, 0 } };
            struct fixture f;
            begin(&f);
            compute(&f, 5, 1, 0, "attn_norm-0");
            if (split) { go_on(&f, "result_output"); }
            compute(&f, 1, 1, 5, "result_output");
            compute(&f, 1, 1, 6, "result_output");
            const json_t * s = section_of(&f, "phases", &(struct tat_analysis_options){ .scope = scopes[part] });
            static const char * const told[2][3] = {
                { "1 of 3 ubatches", "1 of 1 ubatches", "Generation ran at" },
                { "The prompt ran at", "The prompt ran at", "Generation ran at" }, /* all of it by the CPU */
            };
            const char * headline = json_string_value(json_object_get(s, "headline"));
            if (!strstr(headline, told[split][part])) { fail_msg("%s", headline); }
            assert_int_equal(row_of(s, "phases", "prompt") != NULL, split && part != 2);
            assert_int_equal(row_of(s, "phases", "generate") != NULL, part != 1);
            json_decref(f.answer);
        }
    }
}

/* A GPU computes all but the lookup of tokens, so no figure is left, and no rate. */
static void all_of_another_backend(void ** state) {
    (void) state;
    struct fixture f;
    begin(&f);
    compute(&f, 5, 5, 0, "embd");
    compute(&f, 1, 1, 5, "embd");
    const json_t * s = section(&f, "phases");
    says(s,
         "Another backend (BLAS, GPU) computed parts of 2 of 2 ubatches: nothing tells which bytes it touched, so they "
         "are in no figure.");
    assert_null(strstr(json_string_value(json_object_get(s, "headline")), "tokens/s"));
    assert_null(row_of(s, "phases", "prompt"));
    assert_null(row_of(s, "phases", "generate"));
    json_decref(f.answer);
}

/* The view of a running program tells no rates of what it does not see either. */
static void live_without_rates(void ** state) {
    (void) state;
    for (int elsewhere = 0; elsewhere < 2; elsewhere++) {
        struct fixture f;
        struct tat_error error = { 0 };
        begin(&f);
        compute(&f, 5, 5, 0, elsewhere ? "embd" : "result_output");
        struct tat_trace * trace = tb_open(&f.b, &error);
        if (!trace) { fail_msg("%s", error.message); }
        struct live * live = live_new();
        assert_true(live && live_update(live, trace, false));
        f.answer = live_result(live, trace, 1, false);
        const json_t * values = json_object_get(f.answer, "values");
        assert_int_equal(json_object_get(values, "prompt_tokens_per_second") == NULL, elsewhere);
        json_decref(f.answer);
        live_free(live);
        tat_trace_close(trace);
        tb_free(&f.b);
    }
}

/* First three of four are accepted, then none, then all; the trace does not show what becomes of the last draft. */
static void drafts(void ** state) {
    (void) state;
    struct fixture f;
    begin(&f);
    compute(&f, 6, 1, 0, "result_output");
    compute(&f, 5, 5, 6, "result_output");
    compute(&f, 3, 3, 10, "result_output");
    compute(&f, 3, 3, 11, "result_output");
    compute(&f, 1, 1, 14, "result_output");
    compute(&f, 4, 4, 15, "result_output");
    const json_t * s = section(&f, "phases");
    assert_int_equal(value(s, "checked_drafts"), 3);
    assert_int_equal(value(s, "proposed_tokens"), 4 + 2 + 2);
    assert_int_equal(value(s, "accepted_tokens"), 3 + 0 + 2);
    assert_int_equal(value(s, "unclear_drafts"), 1);
    json_decref(f.answer);
}

/* If a cache cannot drop rows, the host restores it and computes again what was accepted. */
static void drafts_of_a_recurrent_model(void ** state) {
    (void) state;
    struct fixture f;
    begin(&f);
    compute(&f, 6, 1, 0, "result_output");
    compute(&f, 5, 5, 6, "result_output");
    compute(&f, 3, 3, 6, "result_output");
    compute(&f, 1, 1, 9, "result_output");
    const json_t * s = section(&f, "phases");
    assert_int_equal(value(s, "checked_drafts"), 1);
    assert_int_equal(value(s, "proposed_tokens"), 2);
    assert_int_equal(value(s, "accepted_tokens"), 2);
    json_decref(f.answer);
}

/* What every section says of a prompt that may be longer than it looks. */
static void prompt_row_by_row(void ** state) {
    (void) state;
    static const char * const names[] = { "phases", "tokens", "hot" };
    for (int i = 0; i < 3; i++) {
        for (int longer = 0; longer < 2; longer++) {
            struct fixture f;
            begin(&f);
            compute(&f, longer ? 2 : 1, 1, 0, "result_output");
            for (int at = 1; at < 10; at++) { compute(&f, 1, 1, at + longer, "result_output"); }
            const json_t * notes = json_object_get(section(&f, names[i]), "notes");
            bool is_said = false;
            for (size_t n = 0; n < json_array_size(notes); n++) {
                is_said |= strstr(json_string_value(json_array_get(notes, n)),
                                  "Of the tokens that count as generated, 9 come one by one behind a prompt of one "
                                  "token.") != NULL;
            }
            assert_int_equal(is_said, !longer);
            json_decref(f.answer);
        }
    }
}

/* --tokens 1000: there were fewer. */
static void none_of_the_tokens_asked_for(void ** state) {
    (void) state;
    static const char * const names[] = { "phases", "run" };
    static const char * const said[] = {
        "None of the tokens that were asked for (--tokens) was evaluated, but 5 prompt and 2 generated tokens before "
        "them.",
        " evaluated 5 prompt and 2 generated tokens with a model in "
    };
    for (int i = 0; i < 2; i++) {
        struct fixture f;
        begin(&f);
        f.flags = TAT_EVALUATION_OUTSIDE;
        compute(&f, 5, 1, 0, "result_output");
        compute(&f, 1, 1, 5, "result_output");
        compute(&f, 1, 1, 6, "result_output");
        const char * headline = json_string_value(json_object_get(section(&f, names[i]), "headline"));
        if (!strstr(headline, said[i])) { fail_msg("%s", headline); }
        json_decref(f.answer);
    }
}

/* Whoever records is told the same at the end. */
static void totals_without_another_backend(void ** state) {
    (void) state;
    char folder[] = "/tmp/tat-elsewhere-XXXXXX", path[64];
    struct fixture f;
    struct tat_run_totals totals;
    struct tat_error error = { 0 };
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/tensor_access.bin", folder);
    for (int elsewhere = 0; elsewhere < 2; elsewhere++) {
        begin(&f);
        compute(&f, 5, 1, 0, elsewhere ? "embd" : "result_output");
        tb_end(&f.b);
        FILE * file = fopen(path, "we");
        assert_true(file && fwrite(f.b.bytes, 1, f.b.size, file) == f.b.size && fclose(file) == 0);
        if (tat_run_seal(folder, NULL, &totals, &error) != 0) { fail_msg("%s", error.message); }
        assert_string_equal(totals.caveats,
                            elsewhere ? "Another backend (BLAS, GPU) computed parts of 1 of 1 ubatches: nothing tells "
                                        "which bytes it touched, so they are in no figure."
                                      : "");
        tb_free(&f.b);
    }
    const char * const names[] = { "tensor_access.bin", "trace_metadata.json", "tensor_names.txt",
                                   "gguf_structure.csv" };
    for (int i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    rmdir(folder);
}

/* Whoever compares runs is told the same. */
static void differences_without_another_backend(void ** state) {
    (void) state;
    struct tat_trace * traces[2];
    struct fixture f[2];
    struct tat_error error = { 0 };
    for (int i = 0; i < 2; i++) {
        begin(&f[i]);
        compute(&f[i], 5, 1, 0, i ? "embd" : "result_output");
        compute(&f[i], 1, 1, 5, "result_output");
        tb_end(&f[i].b);
        traces[i] = tb_open(&f[i].b, &error);
        if (!traces[i]) { fail_msg("%s", error.message); }
    }
    char * text = tat_diff((const struct tat_trace * const *) traces, 2, NULL, 0, &error);
    json_t * all = json_loads(text, 0, NULL);
    const char * name;
    json_t * section;
    json_object_foreach(all, name, section) {
        says(section, "B: Another backend (BLAS, GPU) computed parts of 1 of 2 ubatches: nothing tells which bytes it "
                      "touched, so they are in no figure. ");
    }
    json_decref(all);
    free(text);
    for (int i = 0; i < 2; i++) {
        tat_trace_close(traces[i]);
        tb_free(&f[i].b);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(graphs_without_tokens),
        cmocka_unit_test(prompt_of_another_backend),
        cmocka_unit_test(part_of_another_backend),
        cmocka_unit_test(all_of_another_backend),
        cmocka_unit_test(live_without_rates),
        cmocka_unit_test(drafts),
        cmocka_unit_test(drafts_of_a_recurrent_model),
        cmocka_unit_test(prompt_row_by_row),
        cmocka_unit_test(none_of_the_tokens_asked_for),
        cmocka_unit_test(totals_without_another_backend),
        cmocka_unit_test(differences_without_another_backend),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
