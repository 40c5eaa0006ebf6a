/* SPDX-License-Identifier: MIT */
#include "small_model.h"

#include <stdio.h>
#include <stdlib.h>

enum { ALL_RULES = TAT_RULE_SKIP_EMPTY | TAT_RULE_SKIP_UNASKED | TAT_RULE_FUSE_NORM, ASKED = TAT_NODE_COMPUTE };

static uint32_t weight(struct trace_builder * b, const char * name, uint64_t n0, uint64_t n1, uint64_t n2,
                       uint64_t offset) {
    return tb_file_weight(b, name, (const uint64_t[]){ n0, n1, n2 }, offset);
}

static uint32_t other(struct trace_builder * b, const char * name, enum tat_tensor_kind kind, const char * type) {
    return tb_tensor(b, (struct tb_tensor){ .name = name,
                                            .kind = kind,
                                            .memory = TAT_MEMORY_BUFFER,
                                            .type = type,
                                            .block = 1,
                                            .block_bytes = 4,
                                            .ne = { 64 } });
}

void small_model_load_again(struct trace_builder * b, struct small_model * m) {
    m->embd = weight(b, "token_embd.weight", WIDTH, VOCABULARY, 1, 1000);
    m->query = weight(b, "blk.0.attn_q.weight", WIDTH, WIDTH, 1, 2000);
    m->experts = weight(b, "blk.1.ffn_up_exps.weight", WIDTH, 4, N_EXPERTS, 3000);
}

void small_model_begin(struct trace_builder * b, struct small_model * m) {
    static const char * const results[] = { "inp_embd", "Qcur-0", "ffn_moe_up-1", "result_output" };
    tb_begin(b);
    tb_model_file(b, "/model.gguf");
    small_model_load_again(b, m);
    m->tokens = other(b, "inp_tokens", TAT_TENSOR_INPUT, "i32");
    m->chosen = other(b, "ffn_moe_topk-1", TAT_TENSOR_INPUT, "i32");
    for (int i = 0; i < 4; i++) { m->results[i] = other(b, results[i], TAT_TENSOR_ACTIVATION, "f32"); }
}

uint32_t small_model_template(struct trace_builder * b, const struct small_model * m, uint64_t n) {
    const uint32_t * r = m->results;
    const struct tb_entry entries[] = {
        { .name = "token_embd.weight", .tensor = m->embd, .ne = { WIDTH, VOCABULARY } },
        { .name = "inp_tokens", .type = "i32", .tensor = m->tokens, .ne = { n } },
        { .name = "blk.0.attn_q.weight", .tensor = m->query, .ne = { WIDTH, WIDTH } },
        { .name = "blk.1.ffn_up_exps.weight", .tensor = m->experts, .ne = { WIDTH, 4, N_EXPERTS } },
        { .name = "ffn_moe_topk-1", .type = "i32", .tensor = m->chosen, .ne = { 2, n } },
        { .name = "inp_embd", .op = "GET_ROWS", .tensor = r[0], .ne = { WIDTH, n }, .facts = ASKED, .src = { 1, 2 } },
        { .name = "Qcur-0", .op = "MUL_MAT", .tensor = r[1], .ne = { WIDTH, n }, .facts = ASKED, .src = { 3, 6 } },
        { .name = "ffn_moe_up-1",
          .op = "MUL_MAT_ID",
          .tensor = r[2],
          .ne = { 4, 2, n },
          .facts = ASKED,
          .src = { 4, 7, 5 } },
        { .name = "result_output",
          .op = "MUL_MAT",
          .tensor = r[3],
          .ne = { VOCABULARY, n },
          .facts = ASKED,
          .src = { 1, 7 } },
    };
    const struct tb_capture captures[] = { { TAT_CAPTURE_ROWS, 1, 0, 1 }, { TAT_CAPTURE_EXPERTS, 4, 2, 2 } };
    return tb_template(b, 1, entries, 5, CALLBACKS, captures, 2);
}

static void evaluate(struct trace_builder * b, uint32_t template_id, uint32_t flags, uint32_t callbacks,
                     const struct payload * captures) {
    tb_evaluation(b, (struct tb_evaluation){ .template_id = template_id,
                                             .flags = flags,
                                             .rule = ALL_RULES,
                                             .n_callbacks = callbacks,
                                             .captures = captures->bytes,
                                             .captures_bytes = (size_t) (captures->out.at - captures->bytes) });
}

void small_model_evaluate(struct trace_builder * b, uint32_t template_id, const int64_t * tokens, size_t n,
                          const uint32_t * experts) {
    struct payload p;
    payload_begin(&p);
    tb_put_series(&p.out, tokens, n);
    tb_put_each(&p.out, experts, 2 * n);
    evaluate(b, template_id, 0, CALLBACKS, &p);
}

void small_model_end_early(struct trace_builder * b, uint32_t template_id, const int64_t * tokens, size_t n,
                           uint32_t callbacks) {
    struct payload p;
    payload_begin(&p);
    tb_put_series(&p.out, tokens, n);
    evaluate(b, template_id, TAT_EVALUATION_ABORTED, callbacks, &p);
}

struct tat_trace * small_model_open(struct trace_builder * b) {
    struct tat_error error = { 0 };
    tb_end(b);
    struct tat_trace * trace = tb_open(b, &error);
    const struct tat_trace_summary * summary = trace ? tat_trace_summary(trace) : NULL;
    if (!trace || summary->undecodable_blocks || summary->damaged_bytes || summary->orphan_evaluations) {
        fprintf(stderr, "small_model: %s\n", trace ? "the trace makes no sense" : error.message);
        abort();
    }
    return trace;
}
