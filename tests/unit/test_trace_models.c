/* SPDX-License-Identifier: MIT
 *
 * Several models in one trace: which graph is of which, what each is to the others, and the part of the trace that is
 * of one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "analysis/live.h"
#include "format/follow.h"
#include "tat/analysis.h"
#include "tat/filter.h"
#include "tat/verify.h"
#include "trace_builder.h"

enum { TARGET = 1, DRAFT, LORA, PROJECTOR, FILES = PROJECTOR, EMBD = 8, VOCAB = 100, SHIFT = 9 };

struct fixture {
    struct trace_builder b;
    uint32_t weight[FILES + 1]; /* by file */
    uint32_t ids, out;
    uint64_t rows[16]; /* by template */
    struct tat_trace * trace;
};

static void add_activations(struct fixture * f) {
    f->ids = tb_token_ids(&f->b, 512);
    f->out = tb_result(&f->b, EMBD, 512);
}

static void begin(struct fixture * f) {
    static const char * const names[] = { "", "token_embd.weight", "token_embd.weight", "blk.0.attn_q.weight.lora_a",
                                          "v.patch_embd.weight" };
    tb_begin(&f->b);
    for (uint32_t file = 1; file <= FILES; file++) {
        f->weight[file] = tb_tensor(&f->b, (struct tb_tensor){ .name = names[file],
                                                               .kind = TAT_TENSOR_WEIGHT,
                                                               .memory = TAT_MEMORY_COPY,
                                                               .ne = { EMBD, VOCAB },
                                                               .file = file });
    }
    add_activations(f);
    tb_part(&f->b, "/models/target.gguf", TARGET, TAT_PART_MODEL);
    tb_part(&f->b, "/models/small-7b.gguf", DRAFT, TAT_PART_MODEL);
    tb_part(&f->b, "/models/lora.gguf", LORA, TAT_PART_ADAPTER);
    tb_part(&f->b, "/models/mmproj.gguf", PROJECTOR, TAT_PART_PROJECTOR);
}

static void end(struct fixture * f) {
    tat_trace_close(f->trace);
    tb_free(&f->b);
}

/* A graph of a model: rows of tokens in, rows of logits out; `with` is the file of an adapter, or 0. */
static uint32_t graph_in(struct fixture * f, uint32_t context, uint32_t model, uint32_t with, uint64_t tokens,
                         uint64_t outputs) {
    const uint32_t other = with ? f->weight[with] : f->weight[model];
    const struct tb_entry entries[] = {
        { .name = "weight", .tensor = f->weight[model], .ne = { EMBD, VOCAB } },
        { .name = "inp_tokens", .type = "i32", .tensor = f->ids, .ne = { tokens } },
        { .name = "other", .tensor = other, .ne = { EMBD, VOCAB } },
        { .name = "inp_pos", .type = "i32", .tensor = f->ids, .ne = { tokens } },
        { .name = "embd", .op = "GET_ROWS", .tensor = f->out, .ne = { EMBD, tokens }, .facts = 2, .src = { 1, 2 } },
        { .name = "result_output",
          .op = "MUL_MAT",
          .tensor = f->out,
          .ne = { EMBD, outputs },
          .facts = 2,
          .src = { 3, 5, 4 } },
    };
    const struct tb_capture positions = { TAT_CAPTURE_POSITIONS, 3, 1, 2 };
    f->rows[f->b.n_templates] = tokens;
    return tb_template(&f->b, context, entries, 4, 2, &positions, 1);
}

static uint32_t graph(struct fixture * f, uint32_t model, uint32_t with, uint64_t tokens, uint64_t outputs) {
    return graph_in(f, model, model, with, tokens, outputs);
}

/* A graph without weights, like a shift of the KV cache. */
static uint32_t shift(struct fixture * f, uint32_t context) {
    const struct tb_entry entries[] = {
        { .name = "k_shift", .type = "i32", .tensor = f->ids, .ne = { 3 } },
        { .name = "out", .op = "ADD", .tensor = f->out, .ne = { EMBD, 3 }, .facts = 2, .src = { 1 } },
    };
    return tb_template(&f->b, context, entries, 1, 1, NULL, 0);
}

/* Rows at positions from `first` on. */
static void run_at(struct fixture * f, uint32_t template_id, int64_t first) {
    static struct payload captures;
    int64_t at[8];
    for (uint64_t i = 0; i < f->rows[template_id]; i++) { at[i] = first + (int64_t) i; }
    payload_begin(&captures);
    tb_put_series(&captures.out, at, f->rows[template_id]);
    tb_evaluation(&f->b, (struct tb_evaluation){ .template_id = template_id,
                                                 .n_callbacks = 2,
                                                 .captures = captures.bytes,
                                                 .captures_bytes = (size_t) (captures.out.at - captures.bytes) });
}

static void open_trace(struct fixture * f) {
    struct tat_error error = { 0 };
    f->trace = tb_open(&f->b, &error);
    if (!f->trace) { fail_msg("%s", error.message); }
    assert_int_equal(tat_trace_summary(f->trace)->undecodable_blocks, 0);
}

static const struct tat_model * model(const struct tat_trace * trace, uint32_t number) {
    uint32_t count;
    const struct tat_model * models = tat_trace_models(trace, &count);
    assert_int_equal(count, FILES);
    assert_int_equal(models[number - 1].number, number);
    return &models[number - 1];
}

/* Both read the prompt. Then the draft guesses three tokens one by one, and the target checks them at once. */
static void speculate(struct fixture * f) {
    const uint32_t prompt[] = { graph(f, TARGET, LORA, 6, 1), graph(f, DRAFT, 0, 6, 1) };
    const uint32_t guess = graph(f, DRAFT, 0, 1, 1), check = graph(f, TARGET, LORA, 4, 4);
    run_at(f, prompt[0], 0);
    run_at(f, prompt[1], 0);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 3; i++) { run_at(f, guess, 6 + 4 * round + i); }
        run_at(f, check, 6 + 4 * round);
    }
    tb_evaluation(&f->b, (struct tb_evaluation){ .template_id = shift(f, DRAFT), .n_callbacks = 1 });
}

static void parts_have_names(void ** state) {
    (void) state;
    assert_string_equal(tat_part_name(TAT_PART_CONTROL_VECTOR), "control vector");
    assert_string_equal(tat_part_name(TAT_PART_DRAFT), "draft");
    assert_string_equal(tat_part_name(TAT_PART_COUNT), "");
}

static void a_draft_is_who_is_checked(void ** state) {
    (void) state;
    struct fixture f;
    begin(&f);
    speculate(&f);
    open_trace(&f);
    assert_int_equal(model(f.trace, TARGET)->part, TAT_PART_MODEL);
    assert_string_equal(model(f.trace, TARGET)->name, "target.gguf");
    assert_string_equal(model(f.trace, TARGET)->architecture, "llama");
    assert_int_equal(model(f.trace, TARGET)->n_evaluations, 3);
    assert_int_equal(model(f.trace, DRAFT)->part, TAT_PART_DRAFT);
    assert_int_equal(model(f.trace, DRAFT)->of, TARGET);
    assert_int_equal(model(f.trace, DRAFT)->n_evaluations, 8);
    assert_int_equal(model(f.trace, LORA)->part, TAT_PART_ADAPTER);
    assert_int_equal(model(f.trace, LORA)->of, TARGET);
    assert_int_equal(tat_trace_main_model(f.trace), TARGET);
    end(&f);
}

/* A server of two models: each reads prompts and generates. */
static void models_in_turn_are_no_drafts(void ** state) {
    (void) state;
    struct fixture f;
    begin(&f);
    const uint32_t a = graph(&f, TARGET, 0, 6, 1), b = graph(&f, DRAFT, 0, 6, 1), a1 = graph(&f, TARGET, 0, 1, 1),
                   b1 = graph(&f, DRAFT, 0, 1, 1);
    for (int i = 0; i < 3; i++) {
        run_at(&f, a, 0);
        run_at(&f, a1, 6);
        run_at(&f, b, 0);
        run_at(&f, b1, 6);
        run_at(&f, b1, 7);
    }
    open_trace(&f);
    assert_int_equal(model(f.trace, TARGET)->part, TAT_PART_MODEL);
    assert_int_equal(model(f.trace, DRAFT)->part, TAT_PART_MODEL);
    assert_int_equal(tat_trace_main_model(f.trace), DRAFT); /* it computed more */
    end(&f);
}

/* One model generates, and another is asked how likely texts are: each of its rows has an output. */
static void a_text_that_is_judged_is_no_draft(void ** state) {
    (void) state;
    struct fixture f;
    begin(&f);
    const uint32_t prompt = graph(&f, DRAFT, 0, 6, 1), next = graph(&f, DRAFT, 0, 1, 1),
                   text = graph(&f, TARGET, 0, 5, 5);
    run_at(&f, prompt, 0);
    for (int i = 0; i < 3; i++) {
        run_at(&f, next, 6 + i);
        run_at(&f, text, 0);
    }
    open_trace(&f);
    assert_int_equal(model(f.trace, DRAFT)->part, TAT_PART_MODEL);
    end(&f);
}

/* Draft and target are contexts of one file. */
static void a_model_that_drafts_for_itself(void ** state) {
    (void) state;
    struct fixture f;
    struct tat_error error;
    begin(&f);
    const uint32_t prompt[] = { graph_in(&f, 1, TARGET, 0, 6, 1), graph_in(&f, 2, TARGET, 0, 6, 1) };
    const uint32_t guess = graph_in(&f, 2, TARGET, 0, 1, 1), check = graph_in(&f, 1, TARGET, 0, 4, 4);
    run_at(&f, prompt[0], 0);
    run_at(&f, prompt[1], 0);
    for (int i = 0; i < 3; i++) { run_at(&f, guess, 6 + i); }
    run_at(&f, check, 6);
    open_trace(&f);
    assert_int_equal(model(f.trace, TARGET)->part, TAT_PART_MODEL);
    assert_int_equal(tat_trace_find_model(f.trace, "draft", &error), 0);
    assert_string_equal(error.message, "the draft is the same file as the model that it drafts for, target.gguf: they "
                                       "are one model, number 1, whose contexts tell them apart");
    end(&f);
}

static void one_model_with_a_projector(void ** state) {
    (void) state;
    struct fixture f;
    begin(&f);
    const uint32_t image = graph(&f, PROJECTOR, 0, 8, 8), prompt = graph(&f, TARGET, 0, 6, 1);
    for (int i = 0; i < 3; i++) { run_at(&f, image, 0); }
    run_at(&f, prompt, 0);
    open_trace(&f);
    assert_int_equal(model(f.trace, PROJECTOR)->part, TAT_PART_PROJECTOR);
    assert_int_equal(model(f.trace, PROJECTOR)->n_evaluations, 3);
    assert_int_equal(tat_trace_main_model(f.trace), TARGET);
    end(&f);
}

/* Like whisper's: its weights are in no file that can be read. */
static void a_file_of_an_unknown_format(void ** state) {
    (void) state;
    struct fixture f;
    struct tat_verification v;
    struct tat_error error;
    uint32_t count;
    tb_begin(&f.b);
    tb_part(&f.b, "/models/ggml-tiny.bin", 1, TAT_PART_FOREIGN);
    f.weight[TARGET] = tb_tensor(
        &f.b, (struct tb_tensor){
                  .name = "leaf_1", .kind = TAT_TENSOR_WEIGHT, .memory = TAT_MEMORY_COPY, .ne = { EMBD, VOCAB } });
    add_activations(&f);
    run_at(&f, graph(&f, TARGET, 0, 4, 4), 0);
    tb_end(&f.b);
    open_trace(&f);
    const struct tat_model * models = tat_trace_models(f.trace, &count);
    assert_int_equal(count, 1);
    assert_int_equal(models->part, TAT_PART_FOREIGN);
    assert_int_equal(models->n_evaluations, 1);
    assert_int_equal(tat_verify(f.trace, &v, &error), 0);
    for (unsigned i = 0; i < v.n_checks; i++) {
        if (strcmp(v.check[i].name, "offsets") != 0 && strcmp(v.check[i].name, "weights") != 0) { continue; }
        assert_int_equal(v.check[i].verdict, TAT_VERDICT_SKIP);
        assert_non_null(strstr(v.check[i].detail, "the format of /models/ggml-tiny.bin is"));
    }
    end(&f);
}

static void an_older_trace_has_models(void ** state) {
    (void) state;
    struct fixture f;
    tb_begin(&f.b);
    tb_model_file(&f.b, "/models/old.gguf");
    open_trace(&f);
    uint32_t count;
    const struct tat_model * models = tat_trace_models(f.trace, &count);
    assert_int_equal(count, 1);
    assert_int_equal(models->part, TAT_PART_MODEL);
    assert_string_equal(models->architecture, "");
    assert_int_equal(tat_trace_main_model(f.trace), 0);
    end(&f);
}

static bool add_bytes(const struct tat_access * records, size_t count, void * user) {
    uint64_t * bytes = user;
    for (size_t i = 0; i < count; i++) { *bytes += records[i].bytes; }
    return true;
}

static uint64_t bytes_of(const struct tat_trace * trace) {
    uint32_t count;
    uint64_t bytes = 0;
    struct tat_error error;
    tat_trace_evaluations(trace, &count);
    assert_int_equal(tat_trace_expand(trace, 0, count, add_bytes, &bytes, &error), 0);
    return bytes;
}

static void the_part_of_one_model(void ** state) {
    (void) state;
    struct fixture f;
    struct tat_error error;
    uint32_t all, count;
    uint64_t bytes = 0;
    begin(&f);
    speculate(&f);
    open_trace(&f);
    tat_trace_evaluations(f.trace, &all);
    for (uint32_t number = TARGET; number <= DRAFT; number++) {
        struct tat_trace * part = tat_trace_of_model(f.trace, number, &error);
        assert_non_null(part);
        const struct tat_evaluation * e = tat_trace_evaluations(part, &count);
        assert_int_equal(count, number == TARGET ? 3 : 8); /* the shift belongs to the draft's context */
        for (uint32_t i = 0; i < count; i++) { assert_int_equal(e[i].context, number); }
        assert_true(model(part, number)->is_chosen);
        assert_false(model(part, TARGET + DRAFT - number)->is_chosen);
        assert_int_equal(model(part, LORA)->is_chosen, number == TARGET);
        const struct tat_tensor * tensors = tat_trace_tensors(part, &count);
        assert_int_equal(tensors[f.weight[number]].kind, TAT_TENSOR_WEIGHT);
        assert_int_equal(tensors[f.weight[TARGET + DRAFT - number]].kind, 0);
        bytes += bytes_of(part);
        tat_trace_close(part);
    }
    assert_int_equal(bytes, bytes_of(f.trace));
    assert_null(tat_trace_of_model(f.trace, SHIFT, &error));
    assert_int_equal(error.kind, TAT_ERROR_NO);
    end(&f);
}

static void models_are_found_by_name(void ** state) {
    (void) state;
    struct fixture f;
    struct tat_error error;
    begin(&f);
    speculate(&f);
    tb_part(&f.b, "/models/mmproj.gguf.old", 5, TAT_PART_PROJECTOR);
    open_trace(&f);
    assert_int_equal(tat_trace_find_model(f.trace, "2", &error), DRAFT);
    assert_int_equal(tat_trace_find_model(f.trace, "target.gguf", &error), TARGET);
    assert_int_equal(tat_trace_find_model(f.trace, "draft", &error), DRAFT);
    assert_int_equal(tat_trace_find_model(f.trace, "lor", &error), LORA);
    assert_int_equal(tat_trace_find_model(f.trace, "mmproj.gguf", &error), PROJECTOR); /* the whole name of one */
    assert_int_equal(tat_trace_find_model(f.trace, "projector", &error), 0);
    assert_non_null(strstr(error.message, "more than one model"));
    assert_int_equal(tat_trace_find_model(f.trace, "", &error), 0);
    assert_int_equal(tat_trace_find_model(f.trace, "7", &error), 0);
    assert_int_equal(error.kind, TAT_ERROR_NO);
    assert_non_null(strstr(error.message, "2 is small-7b.gguf (draft)"));
    assert_null(tat_trace_of_model(f.trace, LORA, &error)); /* it computes nothing by itself */
    end(&f);
}

/* A model has the records of its graphs, an adapter those of its weights. */
static void records_of_a_model(void ** state) {
    (void) state;
    struct fixture f;
    struct tat_error error;
    begin(&f);
    speculate(&f);
    open_trace(&f);
    uint64_t bytes[3] = { 0 };
    const char * const names[] = { "target", "draft", "lora" };
    for (int i = 0; i < 3; i++) {
        struct tat_filter * filter = tat_filter_new(f.trace, &error);
        assert_int_equal(tat_filter_add(filter, "model", names[i], &error), 0);
        assert_int_equal(tat_filter_expand(filter, 0, UINT32_MAX, add_bytes, &bytes[i], &error), 0);
        tat_filter_free(filter);
    }
    assert_int_equal(bytes[0] + bytes[1], bytes_of(f.trace));
    assert_int_equal(bytes[2], 3 * EMBD * VOCAB * 4);
    struct tat_filter * filter = tat_filter_new(f.trace, &error);
    assert_int_equal(tat_filter_add(filter, "model", "none", &error), -1);
    assert_int_equal(error.kind, TAT_ERROR_NO);
    tat_filter_free(filter);
    end(&f);
}

/* The same offset is in each file. */
static void places_of_several_files(void ** state) {
    (void) state;
    struct fixture f;
    struct tat_error error = { 0 };
    begin(&f);
    speculate(&f);
    open_trace(&f);
    uint64_t bytes[3] = { 0 };
    const char * const names[] = { "target", "small", "lora" };
    for (int i = 0; i < 3; i++) {
        struct tat_filter * filter = tat_filter_new(f.trace, &error);
        assert_int_equal(tat_filter_add(filter, "at", "0:", &error), 0);
        assert_int_equal(tat_filter_expand(filter, 0, UINT32_MAX, add_bytes, &bytes[i], &error), -1);
        assert_int_equal(error.kind, TAT_ERROR_USAGE);
        if (!strstr(error.message, "; number 1 is ")) { fail_msg("%s", error.message); }
        assert_int_equal(tat_filter_add(filter, "files", names[i], &error), 0);
        assert_int_equal(tat_filter_expand(filter, 0, UINT32_MAX, add_bytes, &bytes[i], &error), 0);
        tat_filter_free(filter);
        assert_true(bytes[i] > 0);
    }
    assert_int_equal(bytes[2], 3 * EMBD * VOCAB * 4);
    end(&f);
}

/* Sections are about one model, the run is about all. */
static void sections_say_of_whom_they_are(void ** state) {
    (void) state;
    struct fixture f;
    struct tat_error error;
    begin(&f);
    speculate(&f);
    open_trace(&f);
    const char * const names[] = { "run", "layers", "phases" };
    struct tat_analysis_options options = { 0 };
    char * text = tat_analyze(f.trace, names, 3, &options, &error);
    assert_non_null(strstr(text, "target.gguf, small-7b.gguf (draft), lora.gguf (adapter), mmproj.gguf (projector)"));
    assert_non_null(strstr(text, "\"Layers: target.gguf (model)\""));
    assert_null(strstr(text, "\"Layers: small-7b.gguf (draft)\""));
    free(text);
    options.model = DRAFT;
    text = tat_analyze(f.trace, names, 3, &options, &error);
    assert_non_null(strstr(text, "\"Layers: small-7b.gguf (draft)\""));
    free(text);
    options.model = SHIFT;
    assert_null(tat_analyze(f.trace, names, 3, &options, &error));
    end(&f);
}

/* A run that is looked at while it goes on: what a draft guesses is not what the run generates. */
static void live_tells_a_draft(void ** state) {
    (void) state;
    struct fixture f;
    struct tat_error error;
    char path[64];
    bool revised;
    begin(&f);
    speculate(&f);
    const int fd = memfd_create("trace", MFD_CLOEXEC);
    assert_int_equal(write(fd, f.b.bytes, f.b.size), f.b.size);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    struct follow * follow = follow_open(path, &error);
    struct live * live = live_new();
    assert_true(follow && live && follow_read(follow, &revised, &error) == 0);
    assert_true(live_update(live, follow_trace(follow), revised));
    json_t * answer = live_result(live, follow_trace(follow), 1, true);
    char * text = json_dumps(answer, 0);
    assert_non_null(strstr(text, "with target.gguf, small-7b.gguf (draft), lora.gguf (adapter)"));
    assert_non_null(strstr(text, "\"label\": \"draft\", \"text\": \"small-7b.gguf: tokens: 6 of prompts, 6 generated, "
                                 "0 of drafts\""));
    assert_non_null(strstr(text, "\"label\": \"model\", \"text\": \"target.gguf: tokens: 6 of prompts, 0 generated, "
                                 "8 of drafts\""));
    free(text);
    json_decref(answer);
    live_free(live);
    follow_close(follow);
    close(fd);
    tb_free(&f.b);
}

/* Numbers of models may be anything, and a file's model may come back. */
static void hostile_numbers(void ** state) {
    (void) state;
    struct fixture f;
    struct tat_error error;
    begin(&f);
    tb_part(&f.b, "/again", TARGET, TAT_PART_MODEL);
    tb_part(&f.b, "/large", UINT32_MAX, TAT_PART_DRAFT); /* not said by a file */
    tb_part(&f.b, "/none", 0, TAT_PART_MODEL);
    run_at(&f, graph(&f, TARGET, 0, 6, 1), 0);
    open_trace(&f);
    uint32_t count;
    const struct tat_model * models = tat_trace_models(f.trace, &count);
    assert_int_equal(count, FILES + 3);
    assert_int_equal(models[FILES + 1].part, TAT_PART_MODEL);
    struct tat_trace * part = tat_trace_of_model(f.trace, TARGET, &error);
    assert_non_null(part);
    tat_trace_close(part);
    end(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_have_names),
        cmocka_unit_test(a_draft_is_who_is_checked),
        cmocka_unit_test(models_in_turn_are_no_drafts),
        cmocka_unit_test(a_text_that_is_judged_is_no_draft),
        cmocka_unit_test(a_model_that_drafts_for_itself),
        cmocka_unit_test(one_model_with_a_projector),
        cmocka_unit_test(a_file_of_an_unknown_format),
        cmocka_unit_test(an_older_trace_has_models),
        cmocka_unit_test(the_part_of_one_model),
        cmocka_unit_test(models_are_found_by_name),
        cmocka_unit_test(records_of_a_model),
        cmocka_unit_test(places_of_several_files),
        cmocka_unit_test(sections_say_of_whom_they_are),
        cmocka_unit_test(live_tells_a_draft),
        cmocka_unit_test(hostile_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
