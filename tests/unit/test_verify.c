/* SPDX-License-Identifier: MIT
 *
 * tat verify says no, with the right check, to each way in which a trace can be wrong.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tat/verify.h"
#include "test_gguf_builder.h"
#include "trace_builder.h"

enum { WEIGHT_AT = 4096, BUILDER_ADDRESS = 0x10000, MAPPED = 1 << 20 };

struct fixture {
    struct trace_builder b;
    uint32_t template_id;
    struct tat_verification result;
};

/* A mapped model file with one weight, and a graph with one product of it. */
static void begin_in(struct fixture * f, const char * path, uint64_t header_hash, uint64_t weight_at) {
    memset(f, 0, sizeof *f);
    tb_begin(&f->b);
    const uint64_t file[] = { ++f->b.n_files, 1, 0, 1 << 20, 0, 5, 6, header_hash, 8 };
    tb_event(&f->b, TAT_EVENT_MODEL_FILE, 10, file, 9, path);
    const uint64_t mapping[] = { 1, BUILDER_ADDRESS - WEIGHT_AT, MAPPED, 0 };
    tb_event(&f->b, TAT_EVENT_MAPPING, 10, mapping, 4, NULL);
    const uint32_t weight = tb_tensor(&f->b, (struct tb_tensor){ .name = "blk.0.attn_q.weight",
                                                                 .kind = TAT_TENSOR_WEIGHT,
                                                                 .memory = TAT_MEMORY_FILE,
                                                                 .ne = { 8, 8 },
                                                                 .file = 1,
                                                                 .file_offset = weight_at });
    const uint32_t other = tb_tensor(
        &f->b, (struct tb_tensor){
                   .name = "Qcur-0", .kind = TAT_TENSOR_ACTIVATION, .memory = TAT_MEMORY_BUFFER, .ne = { 8 } });
    const struct tb_entry entries[] = {
        { .name = "blk.0.attn_q.weight", .tensor = weight, .ne = { 8, 8 } },
        { .name = "Qcur-0", .op = "MUL_MAT", .tensor = other, .ne = { 8 }, .facts = TAT_NODE_COMPUTE, .src = { 1 } },
    };
    f->template_id = tb_template(&f->b, 1, entries, 1, 1, NULL, 0);
}

static void begin(struct fixture * f, uint64_t weight_at) {
    begin_in(f, "/nonexistent/model.gguf", 7, weight_at);
}

static void run(struct fixture * f, uint32_t flags, uint32_t callbacks) {
    tb_evaluation(&f->b,
                  (struct tb_evaluation){ .template_id = f->template_id, .flags = flags, .n_callbacks = callbacks });
}

/* The verdict of one check. */
static const struct tat_check * verdict(struct fixture * f, const char * name) {
    struct tat_error error = { 0 };
    struct tat_trace * trace = tb_open(&f->b, &error);
    if (!trace || tat_verify(trace, &f->result, &error) != 0) { fail_msg("%s", error.message); }
    tat_trace_close(trace);
    tb_free(&f->b);
    for (unsigned i = 0; i < f->result.n_checks; i++) {
        if (strcmp(f->result.check[i].name, name) == 0) { return &f->result.check[i]; }
    }
    fail_msg("no check %s", name);
    return NULL;
}

static void expect_failure(struct fixture * f, const char * name, const char * words) {
    const struct tat_check * check = verdict(f, name);
    assert_int_equal(check->verdict, TAT_VERDICT_FAIL);
    if (!strstr(check->detail, words)) { fail_msg("'%s' does not say '%s'", check->detail, words); }
}

static void whole_trace_is_good(void ** state) {
    (void) state;
    struct fixture f;
    begin(&f, WEIGHT_AT);
    run(&f, 0, 1);
    tb_end(&f.b);
    verdict(&f, "identity");
    assert_int_equal(f.result.n_failed, 0);
    assert_int_equal(f.result.n_accesses, 2);
}

static void weight_moved_by_a_byte(void ** state) {
    (void) state;
    struct fixture f;
    begin(&f, WEIGHT_AT + 1);
    run(&f, 0, 1);
    tb_end(&f.b);
    expect_failure(&f, "offsets", "blk.0.attn_q.weight: its address is not where the mapping puts file offset 4097");
}

static void evaluation_lost_without_a_count(void ** state) {
    (void) state;
    struct fixture f;
    begin(&f, WEIGHT_AT);
    run(&f, 0, 1);
    f.b.n_evaluations++; /* the agent stored one more than there is */
    tb_end(&f.b);
    expect_failure(&f, "losses", "an evaluation is missing without a count");
}

static void evaluation_lost_with_a_count(void ** state) {
    (void) state;
    struct fixture f;
    begin(&f, WEIGHT_AT);
    run(&f, 0, 1);
    struct payload p;
    payload_begin(&p);
    tat_put_varint(&p.out, TAT_LOSS_NO_SPACE);
    tat_put_varint(&p.out, 3);
    tat_put_varint(&p.out, 0);
    tb_payload(&f.b, TAT_BLOCK_LOSS, &p);
    expect_failure(&f, "losses", "3 of 4 evaluations lost (could not be written: 3)");
}

static void unknown_fusion_rule(void ** state) {
    (void) state;
    struct fixture f;
    begin(&f, WEIGHT_AT);
    run(&f, TAT_EVALUATION_UNMATCHED, 5);
    tb_end(&f.b);
    expect_failure(&f, "identity", "5 callbacks, expected 1");
}

static void callbacks_that_do_not_add_up(void ** state) {
    (void) state;
    struct fixture f;
    begin(&f, WEIGHT_AT);
    run(&f, 0, 2); /* the agent did not mark it, but the reader counts for itself */
    tb_end(&f.b);
    expect_failure(&f, "identity", "by a rule that is not known");
}

static void process_that_was_killed(void ** state) {
    (void) state;
    struct fixture f;
    begin(&f, WEIGHT_AT);
    run(&f, 0, 1);
    expect_failure(&f, "end", "no END block");
}

static void agent_that_gave_up(void ** state) {
    (void) state;
    struct fixture f;
    begin(&f, WEIGHT_AT);
    run(&f, 0, 1);
    tb_event(&f.b, TAT_EVENT_NOTE, 20, NULL, 0, "ggml's structs could not be found: op");
    tb_end(&f.b);
    expect_failure(&f, "agent", "ggml's structs could not be found: op");
}

/* One evaluation for each run of positions, "from, count". A saved cache may be restored before the last one. */
static void run_positions(struct fixture * f, const int64_t (*runs)[2], size_t n_runs, bool restored) {
    begin(f, WEIGHT_AT);
    const uint32_t input = tb_tensor(&f->b, (struct tb_tensor){ .name = "inp_pos",
                                                                .type = "i32",
                                                                .block = 1,
                                                                .block_bytes = 4,
                                                                .kind = TAT_TENSOR_INPUT,
                                                                .memory = TAT_MEMORY_BUFFER,
                                                                .ne = { 4 } });
    const uint32_t result = tb_tensor(
        &f->b, (struct tb_tensor){
                   .name = "Qcur-0", .kind = TAT_TENSOR_ACTIVATION, .memory = TAT_MEMORY_BUFFER, .ne = { 8, 4 } });
    const struct tb_entry entries[] = {
        { .name = "inp_pos", .type = "i32", .tensor = input, .ne = { 4 } },
        { .name = "Qcur-0",
          .op = "ROPE",
          .tensor = result,
          .ne = { 8, 4 },
          .facts = TAT_NODE_COMPUTE,
          .src = { 1, 1 } },
    };
    const struct tb_capture capture = { TAT_CAPTURE_POSITIONS, 0, 0, 1 };
    f->template_id = tb_template(&f->b, 1, entries, 1, 1, &capture, 1);
    for (size_t i = 0; i < n_runs; i++) {
        struct payload p;
        int64_t positions[16];
        for (int64_t n = 0; n < runs[i][1]; n++) { positions[n] = runs[i][0] + n; }
        if (restored && i + 1 == n_runs) {
            tb_event(&f->b, TAT_EVENT_MEMORY_SET, f->b.tick - TB_CALLBACK_NS / 2, (const uint64_t[]){ 1, 0 }, 2, NULL);
        }
        payload_begin(&p);
        tb_put_series(&p.out, positions, (size_t) runs[i][1]);
        tb_evaluation(&f->b, (struct tb_evaluation){ .template_id = f->template_id,
                                                     .n_callbacks = 1,
                                                     .captures = p.bytes,
                                                     .captures_bytes = (size_t) (p.out.at - p.bytes) });
    }
    tb_end(&f->b);
}

static void positions_that_jump(void ** state) {
    (void) state;
    struct fixture f;
    run_positions(&f, (const int64_t[][2]){ { 0, 5 }, { 5, 1 }, { 7, 1 } }, 3, false);
    expect_failure(&f, "positions", "1 jumps, first at evaluation 2: an evaluation before it is missing");
}

/* A host that speculates takes back wrong guesses; llama-cpp-python keeps the common beginning of two prompts. */
static void positions_that_go_back(void ** state) {
    (void) state;
    struct fixture f;
    run_positions(&f, (const int64_t[][2]){ { 0, 5 }, { 5, 4 }, { 7, 4 }, { 0, 2 }, { 11, 1 } }, 5, false);
    const struct tat_check * check = verdict(&f, "positions");
    assert_int_equal(check->verdict, TAT_VERDICT_PASS);
    assert_string_equal(check->detail, "5 evaluations");
}

static void no_evaluation_at_all(void ** state) {
    (void) state;
    struct fixture f;
    begin(&f, WEIGHT_AT);
    tb_end(&f.b);
    expect_failure(&f, "recorded", "no graph of this program was computed");
}

/* A check with nothing to look at is not good, whatever the others say. */
static void expect_nothing_good(struct fixture * f, const char * recorded) {
    static const char * const empty[] = { "identity", "captures", "records", "weights", "experts", "positions" };
    expect_failure(f, "recorded", recorded);
    for (size_t i = 0; i < sizeof empty / sizeof empty[0]; i++) {
        for (unsigned c = 0; c < f->result.n_checks; c++) {
            const struct tat_check * check = &f->result.check[c];
            if (strcmp(check->name, empty[i]) == 0 && check->verdict == TAT_VERDICT_PASS) {
                fail_msg("%s is good: %s", check->name, check->detail);
            }
        }
    }
}

static void checks_over_nothing(void ** state) {
    (void) state;
    struct fixture f;
    begin(&f, WEIGHT_AT);
    tb_end(&f.b);
    expect_nothing_good(&f, "no graph of this program was computed");
    begin(&f, WEIGHT_AT);
    run(&f, TAT_EVALUATION_UNMATCHED, 5);
    tb_end(&f.b);
    expect_nothing_good(&f, "which nodes of the graphs were executed when is not known");
}

/* All were of tokens that nobody asked for: it is known that each was computed in full, and nothing else. */
static void no_token_that_was_asked_for(void ** state) {
    (void) state;
    struct fixture f;
    begin(&f, WEIGHT_AT);
    run(&f, TAT_EVALUATION_OUTSIDE, 1);
    tb_end(&f.b);
    expect_failure(&f, "recorded", "none of the tokens asked for was computed");
}

/* As in llama-server, which keeps the caches of prompts that it may see again. */
static void positions_of_a_restored_cache(void ** state) {
    (void) state;
    struct fixture f;
    run_positions(&f, (const int64_t[][2]){ { 0, 3 }, { 5, 1 } }, 2, true);
    assert_int_equal(verdict(&f, "positions")->verdict, TAT_VERDICT_PASS);
}

/* Rows that go to no expert, more than anybody can count, and a row that goes to all of very many experts. */
static void hostile_routing(void ** state) {
    (void) state;
    static const uint64_t ids[][2] = { { 0, UINT64_C(1) << 47 }, { UINT64_C(1) << 40, 1 } };
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        static struct payload captures;
        struct fixture f;
        begin(&f, WEIGHT_AT);
        const uint32_t t = tb_tensor(
            &f.b, (struct tb_tensor){
                      .name = "x", .kind = TAT_TENSOR_ACTIVATION, .memory = TAT_MEMORY_BUFFER, .ne = { 64 } });
        const struct tb_entry entries[] = {
            { .name = "x", .tensor = t, .ne = { 8, 8, UINT64_C(1) << 40 } },
            { .name = "x", .tensor = t, .ne = { 8 } },
            { .name = "ids", .tensor = t, .ne = { ids[i][0], ids[i][1] } },
            { .name = "y",
              .op = "MUL_MAT_ID",
              .tensor = t,
              .ne = { 8 },
              .facts = TAT_NODE_COMPUTE,
              .src = { 1, 2, 3 } },
        };
        const struct tb_capture capture = { TAT_CAPTURE_EXPERTS, 2, 0, 2 };
        f.template_id = tb_template(&f.b, 1, entries, 3, 1, &capture, 1);
        payload_begin(&captures);
        tat_put_varint(&captures.out, 0);
        tb_evaluation(&f.b, (struct tb_evaluation){ .template_id = f.template_id,
                                                    .n_callbacks = 1,
                                                    .captures = captures.bytes,
                                                    .captures_bytes = (size_t) (captures.out.at - captures.bytes) });
        tb_end(&f.b);
        expect_failure(&f, "experts", "rows routed wrongly");
    }
}

/* A graph of its own computes the product with the weight of `begin`, and another graph reads the result. */
static uint32_t reading_template(struct fixture * f, const char * op) {
    const uint32_t read = tb_tensor(
        &f->b,
        (struct tb_tensor){ .name = "Qcur-0", .kind = TAT_TENSOR_INPUT, .memory = TAT_MEMORY_BUFFER, .ne = { 8 } });
    const uint32_t result = tb_tensor(
        &f->b, (struct tb_tensor){
                   .name = "Qcur_normed-0", .kind = TAT_TENSOR_ACTIVATION, .memory = TAT_MEMORY_BUFFER, .ne = { 8 } });
    const struct tb_entry entries[] = {
        { .name = "Qcur-0", .op = op, .tensor = read, .ne = { 8 } },
        { .name = "Qcur_normed-0",
          .op = "RMS_NORM",
          .tensor = result,
          .ne = { 8 },
          .facts = TAT_NODE_COMPUTE,
          .src = { 1 } },
    };
    return tb_template(&f->b, 1, entries, 1, 1, NULL, 0);
}

static const struct tat_check * read_results(struct fixture * f, bool computed, const char * op) {
    begin(f, WEIGHT_AT);
    const uint32_t reading = reading_template(f, op);
    if (computed) { run(f, 0, 1); }
    f->template_id = reading;
    run(f, 0, 1);
    tb_end(&f->b);
    return verdict(f, "results");
}

static void result_of_another_backend(void ** state) {
    (void) state;
    struct fixture f;
    const struct tat_check * check = read_results(&f, false, "MUL_MAT");
    assert_int_equal(check->verdict, TAT_VERDICT_FAIL);
    assert_string_equal(check->detail,
                        "1 were not, first Qcur-0, of MUL_MAT, in evaluation 0: another backend (BLAS, GPU) "
                        "computed them");
}

static void result_of_another_graph(void ** state) {
    (void) state;
    struct fixture f;
    assert_string_equal(read_results(&f, true, "MUL_MAT")->detail, "1 read in another graph than computed");
}

static void what_the_host_fills_is_no_result(void ** state) {
    (void) state;
    struct fixture f;
    assert_string_equal(read_results(&f, false, NULL)->detail, "0 read in another graph than computed");
}

/* A file of two weights, of which the graph names one. */
static const struct tat_check * read_one_of_two(struct fixture * f, bool elsewhere) {
    const uint64_t square[] = { 8, 8 }, row[] = { 8 };
    struct builder model = { 0 };
    char path[64];
    put_header(&model, 3, 2, 1);
    put_kv_string(&model, "general.architecture", "llama");
    put_tensor(&model, "blk.0.attn_q.weight", 2, square, 0, 0);
    put_tensor(&model, "blk.0.attn_norm.weight", 1, row, 0, sizeof(float) * 64);
    put_padding(&model, 32);
    put_bytes(&model, NULL, sizeof(float) * (64 + 8));
    const int fd = builder_file(model.bytes, model.size, path);
    uint32_t n;
    struct tat_gguf * gguf = tat_gguf_open(path, TAT_GGUF_SINGLE, NULL);
    assert_non_null(gguf);
    begin_in(f, path, tat_gguf_files(gguf, &n)[0].header_hash, tat_gguf_tensors(gguf, &n)[0].file_offset);
    const uint32_t own = f->template_id;
    if (elsewhere) {
        f->template_id = reading_template(f, "MUL_MAT"); /* reads what no graph has computed yet */
        run(f, 0, 1);
    }
    f->template_id = own;
    run(f, 0, 1);
    tb_end(&f->b);
    const struct tat_check * check = verdict(f, "weights");
    tat_gguf_close(gguf);
    builder_free(&model);
    close(fd);
    return check;
}

/* RWKV's first layer has such weights: the loader brings them, and the graph does without. */
static void weight_that_no_graph_names(void ** state) {
    (void) state;
    struct fixture f;
    const struct tat_check * check = read_one_of_two(&f, false);
    assert_int_equal(check->verdict, TAT_VERDICT_PASS);
    assert_string_equal(check->detail,
                        "1 touched, 0 in graphs but never read, 1 in no graph; the model does without 1, "
                        "first blk.0.attn_norm.weight");
}

static void weight_of_another_backend(void ** state) {
    (void) state;
    struct fixture f;
    const struct tat_check * check = read_one_of_two(&f, true);
    assert_int_equal(check->verdict, TAT_VERDICT_FAIL);
    assert_string_equal(check->detail, "1 of 2 weights are in no graph that the CPU computed, first "
                                       "blk.0.attn_norm.weight: another backend (BLAS, GPU) took them");
}

/* A GPU computed all but the lookup of tokens: nothing foreign is read, and nothing comes out. */
static void ubatch_without_a_result(void ** state) {
    (void) state;
    struct fixture f;
    begin(&f, WEIGHT_AT);
    const uint32_t embd = tb_tensor(
        &f.b, (struct tb_tensor){
                  .name = "token_embd.weight", .kind = TAT_TENSOR_WEIGHT, .memory = TAT_MEMORY_COPY, .ne = { 8, 8 } });
    const uint32_t rows = tb_tensor(
        &f.b, (struct tb_tensor){
                  .name = "inp_embd", .kind = TAT_TENSOR_ACTIVATION, .memory = TAT_MEMORY_BUFFER, .ne = { 8, 2 } });
    const struct tb_entry entries[] = {
        { .name = "token_embd.weight", .tensor = embd, .ne = { 8, 8 } },
        { .name = "inp_tokens", .tensor = rows, .ne = { 2 } },
        { .name = "embd", .op = "GET_ROWS", .tensor = rows, .ne = { 8, 2 }, .src = { 1, 2 } },
    };
    f.template_id = tb_template(&f.b, 1, entries, 2, 1, NULL, 0);
    run(&f, 0, 1);
    tb_end(&f.b);
    expect_failure(&f, "results",
                   "1 ubatches have no result, first at evaluation 0: another backend (BLAS, GPU) computed it");
}

/* Another backend may have used what is missing; that is not known. */
static void result_of_what_was_lost(void ** state) {
    (void) state;
    struct fixture f;
    begin(&f, WEIGHT_AT);
    f.template_id = reading_template(&f, "MUL_MAT");
    run(&f, 0, 1);
    struct payload p;
    payload_begin(&p);
    tat_put_varint(&p.out, TAT_LOSS_NO_SPACE);
    tat_put_varint(&p.out, 1);
    tat_put_varint(&p.out, 0);
    tb_payload(&f.b, TAT_BLOCK_LOSS, &p);
    assert_int_equal(verdict(&f, "results")->verdict, TAT_VERDICT_SKIP);
}

int main(void) {
    alarm(60); /* a hang is a failure */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_trace_is_good),
        cmocka_unit_test(weight_moved_by_a_byte),
        cmocka_unit_test(evaluation_lost_without_a_count),
        cmocka_unit_test(evaluation_lost_with_a_count),
        cmocka_unit_test(unknown_fusion_rule),
        cmocka_unit_test(callbacks_that_do_not_add_up),
        cmocka_unit_test(process_that_was_killed),
        cmocka_unit_test(agent_that_gave_up),
        cmocka_unit_test(positions_that_jump),
        cmocka_unit_test(positions_that_go_back),
        cmocka_unit_test(no_evaluation_at_all),
        cmocka_unit_test(checks_over_nothing),
        cmocka_unit_test(no_token_that_was_asked_for),
        cmocka_unit_test(result_of_another_backend),
        cmocka_unit_test(result_of_another_graph),
        cmocka_unit_test(weight_that_no_graph_names),
        cmocka_unit_test(weight_of_another_backend),
        cmocka_unit_test(ubatch_without_a_result),
        cmocka_unit_test(what_the_host_fills_is_no_result),
        cmocka_unit_test(result_of_what_was_lost),
        cmocka_unit_test(positions_of_a_restored_cache),
        cmocka_unit_test(hostile_routing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
