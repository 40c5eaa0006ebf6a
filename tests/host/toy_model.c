/* SPDX-License-Identifier: MIT */
#include "toy_model.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COMPUTE_BYTES = 1 << 20, F16_MINUS_INFINITY = 0xfc00, BF16_MINUS_INFINITY = 0xff80, LINE = 64 };

struct toy_context {
    const struct toy_model * model;
    int n_threads, n_past;
    int built_tokens, built_kv; /* what the graph was built for */
    int mask_type;
    bool asks; /* nodes carry the COMPUTE flag */
    struct ggml_context * state;
    struct ggml_context * tensors;
    void *state_memory, *tensor_memory;
    char * kv_memory;
    char * memory; /* of results and inputs */
    size_t used;
    struct ggml_backend_buffer * kv_buffer;
    struct ggml_backend_buffer * buffer;
    struct ggml_tensor * cache_k[TOY_LAYERS];
    struct ggml_tensor * cache_v[TOY_LAYERS];
    struct ggml_tensor *tokens, *positions, *mask, *k_rows, *v_elements, *output_rows;
    struct ggml_tensor * logits;
    struct ggml_tensor * nodes[TOY_NODES_MAX];
    struct ggml_cgraph graph;
};

/* ---- building blocks ---- */

static struct ggml_tensor * place(struct toy_context * c, struct ggml_tensor * t) {
    ggml_backend_tensor_alloc(c->buffer, t, c->memory + c->used);
    c->used += (ggml_nbytes(t) + LINE - 1) / LINE * LINE;
    if (c->used > COMPUTE_BYTES) { abort(); }
    return t;
}

static struct ggml_tensor * input(struct toy_context * c, const char * name, int type, int64_t n0, int64_t n1) {
    struct ggml_tensor * t = ggml_new_tensor_4d(c->tensors, type, n0, n1, 1, 1);
    ggml_set_name(t, name);
    ggml_set_input(t);
    return place(c, t);
}

static struct ggml_tensor * add(struct toy_context * c, struct ggml_tensor * t, const char * name, int layer) {
    char full[GGML_MAX_NAME];
    snprintf(full, sizeof full, layer < 0 ? "%s" : "%s-%d", name, layer);
    ggml_set_name(t, full);
    if (c->asks) { t->flags |= GGML_FLAG_COMPUTE; }
    if (c->graph.n_nodes == TOY_NODES_MAX) { abort(); }
    c->graph.nodes[c->graph.n_nodes++] = t;
    return t;
}

struct operands {
    struct ggml_tensor * src[5];
};

static struct ggml_tensor * node(struct toy_context * c, enum ggml_op op, const char * name, int layer, int64_t n0,
                                 int64_t n1, int64_t n2, struct operands operands) {
    const int type = op == GGML_OP_ARGSORT ? GGML_TYPE_I32 : GGML_TYPE_F32;
    struct ggml_tensor * t = ggml_new_tensor_4d(c->tensors, type, n0, n1, n2, 1);
    t->op = op;
    memcpy(t->src, operands.src, sizeof operands.src);
    return add(c, place(c, t), name, layer);
}

static struct ggml_tensor * like(struct toy_context * c, enum ggml_op op, const char * name, int layer,
                                 struct ggml_tensor * a, struct ggml_tensor * b) {
    return node(c, op, name, layer, a->ne[0], a->ne[1], a->ne[2], (struct operands){ { a, b } });
}

static struct ggml_tensor * reshape(struct toy_context * c, struct ggml_tensor * a, int64_t n0, int64_t n1,
                                    int64_t n2) {
    const int64_t ne[4] = { n0, n1, n2, 1 };
    return add(c, ggml_view(c->tensors, GGML_OP_RESHAPE, a, ne, NULL, 0), a->name, -1);
}

static struct ggml_tensor * view(struct toy_context * c, enum ggml_op op, struct ggml_tensor * a, const int64_t * ne,
                                 const size_t * nb, size_t offset) {
    return add(c, ggml_view(c->tensors, op, a, ne, nb, offset), a->name, -1);
}

static struct ggml_tensor * product(struct toy_context * c, const char * name, int layer, struct ggml_tensor * weight,
                                    struct ggml_tensor * x) {
    return node(c, GGML_OP_MUL_MAT, name, layer, weight->ne[1], x->ne[1], x->ne[2], (struct operands){ { weight, x } });
}

static struct ggml_tensor * norm(struct toy_context * c, const char * name, int layer, struct ggml_tensor * weight,
                                 struct ggml_tensor * x) {
    struct ggml_tensor * inner = like(c, GGML_OP_RMS_NORM, "norm", layer, x, NULL);
    return like(c, GGML_OP_MUL, name, layer, inner, weight);
}

/* ---- attention ---- */

static struct ggml_tensor * head_major(struct toy_context * c, struct ggml_tensor * a) {
    const int64_t ne[4] = { a->ne[0], a->ne[2], a->ne[1], 1 };
    const size_t nb[4] = { a->nb[0], a->nb[2], a->nb[1], a->nb[3] };
    return view(c, GGML_OP_PERMUTE, a, ne, nb, 0);
}

/* The part of a cache in use, as (element, cell, head). */
static struct ggml_tensor * cells(struct toy_context * c, struct ggml_tensor * cache, int n_kv) {
    const size_t size = sizeof(float);
    const int64_t ne[4] = { TOY_HEAD, TOY_KV_HEADS, n_kv, 1 };
    const size_t nb[4] = { size, size * TOY_HEAD, size * TOY_KV_EMBD, size * TOY_KV_EMBD * TOY_KV_SIZE };
    return head_major(c, view(c, GGML_OP_VIEW, cache, ne, nb, 0));
}

static struct ggml_tensor * transposed_cells(struct toy_context * c, struct ggml_tensor * cache, int n_kv) {
    const size_t size = sizeof(float);
    const int64_t ne[4] = { n_kv, TOY_HEAD, TOY_KV_HEADS, 1 };
    const size_t nb[4] = { size, size * TOY_KV_SIZE, size * TOY_KV_SIZE * TOY_HEAD, size * TOY_KV_SIZE * TOY_KV_EMBD };
    return view(c, GGML_OP_VIEW, cache, ne, nb, 0);
}

static void store_rows(struct toy_context * c, struct ggml_tensor * cache, struct ggml_tensor * values,
                       struct ggml_tensor * rows) {
    struct ggml_tensor * t = ggml_view(c->tensors, GGML_OP_SET_ROWS, cache, cache->ne, cache->nb, 0);
    t->src[0] = values;
    t->src[1] = rows;
    t->src[2] = cache;
    char name[GGML_MAX_NAME + 8];
    snprintf(name, sizeof name, "%s (view)", cache->name);
    add(c, t, name, -1);
}

static struct ggml_tensor * rotated(struct toy_context * c, const char * name, int l, struct ggml_tensor * weight,
                                    struct ggml_tensor * x, int heads) {
    struct ggml_tensor * flat = product(c, name, l, weight, x);
    return like(c, GGML_OP_ROPE, name, l, reshape(c, flat, TOY_HEAD, heads, x->ne[1]), c->positions);
}

static void store_kv(struct toy_context * c, int l, struct ggml_tensor * x) {
    struct ggml_tensor * const * w = c->model->layer[l];
    const int64_t n = x->ne[1];
    struct ggml_tensor * k = rotated(c, "Kcur", l, w[TOY_ATTN_K], x, TOY_KV_HEADS);
    store_rows(c, c->cache_k[l], reshape(c, k, TOY_KV_EMBD, n, 1), c->k_rows);
    struct ggml_tensor * v = product(c, "Vcur", l, w[TOY_ATTN_V], x);
    if (l != 2) {
        store_rows(c, c->cache_v[l], v, c->k_rows);
    } else {
        struct ggml_tensor * elements = reshape(c, c->cache_v[l], 1, TOY_KV_EMBD * TOY_KV_SIZE, 1);
        store_rows(c, elements, reshape(c, v, 1, TOY_KV_EMBD * n, 1), c->v_elements);
    }
}

static struct ggml_tensor * attention_in_pieces(struct toy_context * c, int l, struct ggml_tensor * q, int n_kv) {
    const int64_t n = q->ne[1];
    struct ggml_tensor * k = cells(c, c->cache_k[l], n_kv);
    struct ggml_tensor * scores = node(c, GGML_OP_MUL_MAT, "kq", l, n_kv, n, TOY_HEADS, (struct operands){ { k, q } });
    struct ggml_tensor * soft = like(c, GGML_OP_SOFT_MAX, "kq_soft_max", l, scores, c->mask);
    struct ggml_tensor * v = transposed_cells(c, c->cache_v[l], n_kv);
    struct ggml_tensor * kqv =
        node(c, GGML_OP_MUL_MAT, "kqv", l, TOY_HEAD, n, TOY_HEADS, (struct operands){ { v, soft } });
    return node(c, GGML_OP_CONT, "kqv_out", l, TOY_EMBD, n, 1, (struct operands){ { head_major(c, kqv) } });
}

static struct ggml_tensor * attention(struct toy_context * c, int l, struct ggml_tensor * x, int n_kv) {
    struct ggml_tensor * const * w = c->model->layer[l];
    const int64_t n = x->ne[1];
    struct ggml_tensor * q = head_major(c, rotated(c, "Qcur", l, w[TOY_ATTN_Q], x, TOY_HEADS));
    store_kv(c, l, x);
    struct ggml_tensor * out;
    if (l == 2) {
        out = attention_in_pieces(c, l, q, n_kv);
    } else {
        struct ggml_tensor * k = cells(c, c->cache_k[l], n_kv);
        struct ggml_tensor * v = cells(c, c->cache_v[l], n_kv);
        const struct operands operands = { { q, k, v, l == 0 ? c->mask : NULL, w[TOY_ATTN_SINKS] } };
        out = node(c, GGML_OP_FLASH_ATTN_EXT, "fattn", l, TOY_HEAD, TOY_HEADS, n, operands);
        out = reshape(c, out, TOY_EMBD, n, 1);
    }
    return product(c, "attn_out", l, w[TOY_ATTN_OUT], out);
}

/* ---- experts ---- */

static struct ggml_tensor * chosen(struct toy_context * c, struct ggml_tensor * order) {
    const int64_t ne[4] = { TOY_USED, order->ne[1], 1, 1 };
    struct ggml_tensor * t = view(c, GGML_OP_VIEW, order, ne, order->nb, 0);
    ggml_set_name(t, "ffn_moe_topk");
    return t;
}

static struct ggml_tensor * slot(struct toy_context * c, struct ggml_tensor * a, int i) {
    const int64_t ne[4] = { a->ne[0], a->ne[2], 1, 1 };
    const size_t nb[4] = { a->nb[0], a->nb[2], a->nb[3], a->nb[3] };
    return view(c, GGML_OP_VIEW, a, ne, nb, (size_t) i * a->nb[1]);
}

static struct ggml_tensor * experts(struct toy_context * c, int l, struct ggml_tensor * x) {
    struct ggml_tensor * const * w = c->model->layer[l];
    const int64_t n = x->ne[1];
    struct ggml_tensor * logits = product(c, "ffn_moe_logits", l, w[TOY_ROUTER], x);
    struct ggml_tensor * probs = like(c, GGML_OP_SOFT_MAX, "ffn_moe_probs", l, logits, NULL);
    struct ggml_tensor * ids = chosen(c, like(c, GGML_OP_ARGSORT, "ffn_moe_argsort", l, probs, NULL));
    struct operands pick = { { reshape(c, probs, 1, TOY_EXPERTS, n), ids } };
    struct ggml_tensor * gates = node(c, GGML_OP_GET_ROWS, "ffn_moe_weights", l, 1, TOY_USED, n, pick);
    struct operands rise = { { w[TOY_UP], reshape(c, x, TOY_EMBD, 1, n), ids } };
    struct ggml_tensor * up = node(c, GGML_OP_MUL_MAT_ID, "ffn_moe_up", l, TOY_FF, TOY_USED, n, rise);
    struct operands fall = { { w[TOY_DOWN], like(c, GGML_OP_SILU, "ffn_moe_silu", l, up, NULL), ids } };
    struct ggml_tensor * down = node(c, GGML_OP_MUL_MAT_ID, "ffn_moe_down", l, TOY_EMBD, TOY_USED, n, fall);
    struct ggml_tensor * all = like(c, GGML_OP_MUL, "ffn_moe_weighted", l, down, gates);
    struct ggml_tensor * first = slot(c, all, 0);
    struct ggml_tensor * sum = ggml_add(c->tensors, first, slot(c, all, 1));
    return add(c, place(c, sum), "ffn_moe_out", l);
}

/* ---- the graph ---- */

static struct ggml_tensor * rows_for_output(struct toy_context * c, struct ggml_tensor * x) {
    return node(c, GGML_OP_GET_ROWS, "out_rows", -1, x->ne[0], 1, 1, (struct operands){ { x, c->output_rows } });
}

static void make_inputs(struct toy_context * c, int n, int n_kv) {
    c->tokens = input(c, "inp_tokens", GGML_TYPE_I32, n, 1);
    c->positions = input(c, "inp_pos", GGML_TYPE_I32, n, 1);
    c->mask = input(c, "attn_inp_kq_mask", c->mask_type, n_kv, TOY_ROWS_MAX);
    c->k_rows = input(c, "attn_inp_k_idxs", GGML_TYPE_I64, n, 1);
    c->v_elements = input(c, "attn_inp_v_idxs", GGML_TYPE_I64, TOY_KV_EMBD * n, 1);
    c->output_rows = input(c, "inp_out_ids", GGML_TYPE_I32, 1, 1);
}

static void build(struct toy_context * c, int n, int n_kv) {
    struct ggml_tensor * const * w = c->model->weight;
    ggml_reset(c->tensors);
    c->used = 0;
    c->graph.n_nodes = 0;
    make_inputs(c, n, n_kv);
    struct operands look_up = { { w[TOY_TOKENS], c->tokens } };
    struct ggml_tensor * x = node(c, GGML_OP_GET_ROWS, "inp_embd", -1, TOY_EMBD, n, 1, look_up);
    for (int l = 0; l < TOY_LAYERS; l++) {
        struct ggml_tensor * a = attention(c, l, norm(c, "attn_norm", l, c->model->layer[l][TOY_ATTN_NORM], x), n_kv);
        if (l == TOY_LAYERS - 1) {
            a = rows_for_output(c, a);
            x = rows_for_output(c, x);
        }
        x = like(c, GGML_OP_ADD, "ffn_inp", l, a, x);
        x = like(c, GGML_OP_ADD, "l_out", l, experts(c, l, norm(c, "ffn_norm", l, c->model->layer[l][TOY_FFN_NORM], x)),
                 x);
    }
    /* A node in the graph that nobody asked for. */
    like(c, GGML_OP_SCALE, "unasked", -1, x, NULL)->flags = 0;
    x = norm(c, "result_norm", -1, w[TOY_OUTPUT_NORM], x);
    c->logits = product(c, "result_output", -1, w[TOY_OUTPUT], x);
    ggml_set_output(c->logits);
    c->built_tokens = n;
    c->built_kv = n_kv;
}

static void set_inputs(struct toy_context * c, const int32_t * tokens, int n, int n_kv) {
    int32_t *positions = c->positions->data, *out = c->output_rows->data;
    int64_t *rows = c->k_rows->data, *elements = c->v_elements->data;
    uint16_t * mask = c->mask->data;
    const uint16_t never = c->mask_type == GGML_TYPE_F16 ? F16_MINUS_INFINITY : BF16_MINUS_INFINITY;
    memcpy(c->tokens->data, tokens, (size_t) n * sizeof tokens[0]);
    out[0] = n - 1;
    memset(mask, 0, ggml_nbytes(c->mask));
    for (int i = 0; i < n; i++) {
        positions[i] = c->n_past + i;
        rows[i] = c->n_past + i;
        for (int k = 0; k < TOY_KV_EMBD; k++) { elements[i * TOY_KV_EMBD + k] = (int64_t) k * TOY_KV_SIZE + rows[i]; }
        for (int cell = c->n_past + i + 1; cell < n_kv; cell++) { mask[i * n_kv + cell] = never; }
    }
}

void toy_set_mask_type(struct toy_context * c, int type) {
    if (c->mask_type != type) { c->built_tokens = 0; }
    c->mask_type = type;
}

int toy_evaluate(struct toy_context * c, const int32_t * tokens, int n, bool (*callback)(void *), void * data) {
    if (c->n_past + n > TOY_KV_SIZE) { c->n_past = 0; }
    const int n_kv = (c->n_past + n + TOY_KV_STEP - 1) / TOY_KV_STEP * TOY_KV_STEP;
    if (c->built_tokens != n || c->built_kv != n_kv) { build(c, n, n_kv); }
    set_inputs(c, tokens, n, n_kv);
    struct ggml_cplan plan = {
        .n_threads = c->n_threads, .abort_callback = callback, .abort_callback_data = data, .guard = FAKEGGML_GUARD
    };
    errno = EXDEV;
    const int status = ggml_backend_graph_compute(&c->graph, &plan);
    if (errno != EXDEV) { abort(); }
    if (plan.abort_callback != callback || plan.abort_callback_data != data) { abort(); }
    if (status == GGML_STATUS_SUCCESS) { c->n_past += n; }
    return status;
}

const float * toy_logits(const struct toy_context * c) {
    return c->logits->data;
}

/* ---- life of a context ---- */

struct toy_context * toy_context_new(const struct toy_model * model, int n_threads) {
    const size_t cache = TOY_KV_EMBD * TOY_KV_SIZE * sizeof(float);
    struct toy_context * c = toy_alloc(sizeof *c);
    c->state_memory = toy_alloc(ggml_tensor_overhead() * 2 * TOY_LAYERS);
    c->tensor_memory = toy_alloc(ggml_tensor_overhead() * (TOY_NODES_MAX + 8));
    struct ggml_init_params small = { ggml_tensor_overhead() * 2 * TOY_LAYERS, c->state_memory, true };
    struct ggml_init_params large = { ggml_tensor_overhead() * (TOY_NODES_MAX + 8), c->tensor_memory, true };
    c->mask_type = GGML_TYPE_F16;
    c->model = model;
    c->n_threads = n_threads;
    c->asks = fakeggml_rule() >= RULE_SKIP_UNASKED;
    c->state = ggml_init(small);
    c->tensors = ggml_init(large);
    c->kv_memory = toy_alloc(2 * TOY_LAYERS * cache);
    c->memory = toy_alloc(COMPUTE_BYTES);
    c->kv_buffer = ggml_backend_cpu_buffer_from_ptr(c->kv_memory, 2 * TOY_LAYERS * cache);
    c->buffer = ggml_backend_cpu_buffer_from_ptr(c->memory, COMPUTE_BYTES);
    c->buffer->usage = GGML_USAGE_COMPUTE;
    c->graph = (struct ggml_cgraph){ .capacity = TOY_NODES_MAX, .nodes = c->nodes };
    for (int i = 0; i < 2 * TOY_LAYERS; i++) {
        struct ggml_tensor * t = ggml_new_tensor_4d(c->state, GGML_TYPE_F32, TOY_KV_EMBD, TOY_KV_SIZE, 1, 1);
        char name[GGML_MAX_NAME];
        snprintf(name, sizeof name, "cache_%c_l%d", i % 2 ? 'v' : 'k', i / 2);
        ggml_set_name(t, name);
        ggml_backend_tensor_alloc(c->kv_buffer, t, c->kv_memory + (size_t) i * cache);
        (i % 2 ? c->cache_v : c->cache_k)[i / 2] = t;
    }
    return c;
}

void toy_context_free(struct toy_context * c) {
    ggml_backend_buffer_free(c->buffer);
    ggml_backend_buffer_free(c->kv_buffer);
    ggml_free(c->tensors);
    ggml_free(c->state);
    toy_free(c->memory);
    toy_free(c->kv_memory);
    toy_free(c->tensor_memory);
    toy_free(c->state_memory);
    toy_free(c);
}
