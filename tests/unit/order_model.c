/* SPDX-License-Identifier: MIT */
#include "order_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tat/analysis.h"

enum { RULE = TAT_RULE_SKIP_EMPTY | TAT_RULE_SKIP_UNASKED };

uint32_t model_tensor(struct model * m, const char * name, enum tat_tensor_kind kind, uint64_t n0, uint64_t n2,
                      uint64_t offset) {
    const bool weight = kind == TAT_TENSOR_WEIGHT;
    return tb_tensor(&m->b, (struct tb_tensor){ .name = name,
                                                .kind = kind,
                                                .memory = weight ? TAT_MEMORY_FILE : TAT_MEMORY_BUFFER,
                                                .type = "i8",
                                                .block = 1,
                                                .block_bytes = 1,
                                                .ne = { n0, 1, n2 },
                                                .file = weight,
                                                .file_offset = offset });
}

void model_begin(struct model * m, uint64_t embedding_offset) {
    tb_begin(&m->b);
    tb_model_file(&m->b, "/model.gguf");
    m->embd = tb_tensor(&m->b, (struct tb_tensor){ .name = "token_embd.weight",
                                                   .kind = TAT_TENSOR_WEIGHT,
                                                   .memory = TAT_MEMORY_FILE,
                                                   .type = "i8",
                                                   .block = 1,
                                                   .block_bytes = 1,
                                                   .ne = { ROW, 64 },
                                                   .file = 1,
                                                   .file_offset = embedding_offset });
    m->ids = model_tensor(m, "inp_tokens", TAT_TENSOR_INPUT, 1, 1, 0);
    for (int i = 0; i < NODES_MAX; i++) {
        snprintf(m->names[0][i], 8, "r-%d", i);
        snprintf(m->names[1][i], 8, "c-%d", i);
        snprintf(m->names[2][i], 8, "w%d", i);
        m->result[i] = model_tensor(m, m->names[0][i], TAT_TENSOR_ACTIVATION, 1, 1, 0);
        m->chosen[i] = model_tensor(m, m->names[1][i], TAT_TENSOR_ACTIVATION, 1, 1, 0);
    }
}

void model_end(struct model * m) {
    json_decref(m->order);
    tb_free(&m->b);
}

uint32_t model_weight(struct model * m, int number, uint64_t offset) {
    return model_tensor(m, m->names[2][number], TAT_TENSOR_WEIGHT, WEIGHT, 1, offset);
}

/* Leaves: the embedding, the token, then each node's weight and choice. */
uint32_t model_graph(struct model * m, const struct node * nodes, uint32_t n) {
    struct tb_entry e[3 + 3 * NODES_MAX];
    struct tb_capture captures[NODES_MAX + 1];
    const uint32_t leaves = 2 + 2 * n;
    uint32_t n_captures = 1;
    captures[0] = (struct tb_capture){ TAT_CAPTURE_ROWS, 1, 0, 1 };
    e[0] = (struct tb_entry){ .name = "token_embd.weight", .type = "i8", .tensor = m->embd, .ne = { ROW, 64 } };
    e[1] = (struct tb_entry){ .name = "inp_tokens", .type = "i8", .tensor = m->ids, .ne = { 1 } };
    e[leaves] = (struct tb_entry){ .name = "inp_embd",
                                   .op = "GET_ROWS",
                                   .type = "i8",
                                   .tensor = m->result[NODES_MAX - 1],
                                   .ne = { ROW },
                                   .facts = ASKED,
                                   .src = { 1, 2 } };
    for (uint32_t i = 0; i < n; i++) {
        const struct node * node = &nodes[i];
        const uint64_t slices = node->chooses ? SLICES : 1;
        struct tb_entry * w = &e[2 + 2 * i];
        struct tb_entry * x = &e[leaves + 1 + i];
        const int chosen = node->chooses ? 4 + 2 * (int) i : 0;
        int count = 3;
        *w = (struct tb_entry){ .name = "weight", .type = "i8", .tensor = node->weight, .ne = { WEIGHT, 1, slices } };
        w[1] = (struct tb_entry){ .name = m->names[1][i], .type = "i8", .tensor = m->chosen[i], .ne = { 1 } };
        *x = (struct tb_entry){ .name = m->names[0][i],
                                .op = node->chooses ? "MUL_MAT_ID" : "MUL_MAT",
                                .type = "i8",
                                .tensor = m->result[i],
                                .ne = { 1 },
                                .facts = ASKED,
                                .src = { 3 + 2 * (int) i, (int) leaves + 1, chosen } };
        for (uint32_t j = 0; j < i; j++) {
            if (node->after >> j & 1) { x->src[count++] = (int) (leaves + 2 + j); }
        }
        const struct tb_capture capture = { TAT_CAPTURE_EXPERTS, 3 + 2 * i, 1 + i, 2 };
        if (node->chooses) { captures[n_captures++] = capture; }
    }
    return tb_template(&m->b, 1, e, leaves, n + 1, captures, n_captures);
}

void model_run(struct model * m, uint32_t template_id, uint32_t n_nodes, int64_t token, const uint32_t * slices,
               uint32_t n_slices) {
    struct payload p;
    payload_begin(&p);
    tb_put_series(&p.out, &token, 1);
    for (uint32_t i = 0; i < n_slices; i++) { tb_put_each(&p.out, &slices[i], 1); }
    tb_evaluation(&m->b, (struct tb_evaluation){ .template_id = template_id,
                                                 .rule = RULE,
                                                 .n_callbacks = n_nodes + 1,
                                                 .captures = p.bytes,
                                                 .captures_bytes = (size_t) (p.out.at - p.bytes) });
}

void model_ask(struct model * m) {
    static const char * const names[] = { "order" };
    struct tat_error error = { 0 };
    tb_end(&m->b);
    struct tat_trace * trace = tb_open(&m->b, &error);
    if (!trace) { fail_msg("%s", error.message); }
    assert_int_equal(tat_trace_summary(trace)->undecodable_blocks, 0);
    char * text = tat_analyze(trace, names, 1, NULL, &error);
    json_t * all = text ? json_loads(text, 0, NULL) : NULL;
    if (!all) { fail_msg("%s", error.message); }
    m->order = json_incref(json_object_get(all, "order"));
    json_decref(all);
    free(text);
    tat_trace_close(trace);
}

int64_t model_value(const struct model * m, const char * key) {
    const json_t * found = json_object_get(json_object_get(m->order, "values"), key);
    if (!json_is_integer(found)) { fail_msg("no value '%s'", key); }
    return json_integer_value(found);
}

const json_t * model_row(const struct model * m, const char * table, const char * key, const char * name) {
    const json_t * rows = json_object_get(json_object_get(json_object_get(m->order, "tables"), table), "rows");
    size_t i;
    const json_t * r;
    json_array_foreach(rows, i, r) {
        if (strcmp(json_string_value(json_object_get(r, key)), name) == 0) { return r; }
    }
    fail_msg("no row '%s' in '%s'", name, table);
    return NULL;
}

int64_t count_of(const json_t * object, const char * key) {
    if (!json_is_integer(json_object_get(object, key))) { fail_msg("no count '%s'", key); }
    return json_integer_value(json_object_get(object, key));
}

double share_of(const json_t * object, const char * key) {
    if (!json_is_real(json_object_get(object, key))) { fail_msg("no share '%s'", key); }
    return json_real_value(json_object_get(object, key));
}

uint32_t random_below(uint64_t * seed, uint32_t n) {
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t) (*seed >> 33) % n;
}
