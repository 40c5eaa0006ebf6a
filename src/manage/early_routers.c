/* SPDX-License-Identifier: MIT */
#include "manage/early_routers.h"

#include <string.h>

enum { STEPS_MOST = 24 /* from a router's product to its choice */ };

struct search {
    const struct host * host;
    const struct ggml_layout * l;
    struct ggml_tensor ** nodes;
    const struct graph_uses * uses;
};

static struct search search_of(const struct host * host, struct ggml_cgraph * graph, const struct graph_uses * uses) {
    return (struct search){ host, &host->layout, host->ggml.graph_nodes(graph), uses };
}

static bool op_is(const struct search * s, const struct ggml_tensor * t, const char * op) {
    return strcmp(s->host->ggml.op_desc(t), op) == 0;
}

/* The node's number; UINT32_MAX: it is none. */
static uint32_t number_of(const struct search * s, const struct ggml_tensor * t, uint32_t below) {
    for (uint32_t i = below; i-- > 0;) {
        if (s->nodes[i] == t) { return i; }
    }
    return UINT32_MAX;
}

/* What the graph needs of the model there. NULL: nothing, or elsewhere. */
static const void * weight_at(const struct search * s, uint32_t node, uint32_t src) {
    for (uint32_t i = 0; i < s->uses->n_uses; i++) {
        const struct graph_use * u = &s->uses->use[i];
        if (u->node == node && u->src == src) { return u->at; }
    }
    return NULL;
}

/* One row of numbers, or a list of them. */
static bool is_row(const struct search * s, const struct ggml_tensor * t, uint32_t n) {
    const int64_t * ne = layout_ne(s->l, t);
    return layout_type(s->l, t) == EARLY_F32 && ne[0] == n && ne[1] == 1 && ne[2] == 1 && ne[3] == 1 &&
           layout_nb(s->l, t)[0] == sizeof(float);
}

/* ---- the gate ---- */

/* A choice, traced back to the product that it was made of. */
struct origin {
    const struct ggml_tensor *product, *bias; /* NULL: none */
    const void * bias_at;
    bool is_sigmoid; /* lies between them */
};

/* Through whatever sorts, views and maps it. */
static struct origin find_origin(const struct search * s, const struct ggml_tensor * ids, uint32_t below) {
    struct origin o = { NULL, NULL, NULL, false };
    const struct ggml_tensor * t = ids;
    for (int step = 0; t && step < STEPS_MOST; step++) {
        const struct ggml_tensor * root = layout_view_src(s->l, t);
        if (op_is(s, t, "MUL_MAT")) {
            o.product = t;
            break;
        }
        if (op_is(s, t, "SIGMOID") && o.bias_at) { o.is_sigmoid = true; }
        if (op_is(s, t, "ADD") && !o.bias_at) {
            o.bias = layout_src(s->l, t)[1];
            o.bias_at = weight_at(s, number_of(s, t, below), 1);
        }
        t = root ? root : layout_src(s->l, t)[0];
    }
    return o;
}

static void add_bias(const struct search * s, const struct origin * o, struct early_weights * w) {
    if (!o->bias_at || !is_row(s, o->bias, w->n_experts)) { return; }
    w->bias = o->bias_at;
    w->is_sigmoid = o->is_sigmoid;
}

static bool read_gate(const struct search * s, const struct ggml_tensor * product, uint32_t node,
                      struct early_weights * w) {
    const struct ggml_tensor * gate = layout_src(s->l, product)[0];
    const void * at = weight_at(s, node, 0);
    if (!gate || !at || at != (const void *) layout_data(s->l, gate)) { return false; }
    const int64_t * ne = layout_ne(s->l, gate);
    const size_t * nb = layout_nb(s->l, gate);
    if (ne[0] <= 0 || ne[0] > INT32_MAX || ne[1] <= 0 || ne[1] > INT32_MAX || ne[2] != 1 || ne[3] != 1) {
        return false;
    }
    w->type = layout_type(s->l, gate);
    w->n_embd = (uint32_t) ne[0];
    w->n_experts = (uint32_t) ne[1];
    if (early_row_bytes(w->type, w->n_embd) != nb[1] || nb[1] == 0) { return false; }
    w->gate = at;
    return true;
}

/* ---- what it is multiplied with ---- */

/* Memory of a tensor is used anew once the last node has used it. */
static bool is_used_from(const struct search * s, const struct ggml_tensor * t, uint32_t node) {
    for (uint32_t i = node; i < s->uses->n_nodes; i++) {
        for (int src = 0; src < s->l->n_src; src++) {
            const struct ggml_tensor * used = layout_src(s->l, s->nodes[i])[src];
            if (used && (used == t || layout_view_src(s->l, used) == t)) { return true; }
        }
    }
    return false;
}

/* input = RMS_NORM(residual) * norm */
static void find_residual(const struct search * s, uint32_t product, uint32_t chosen_by, struct early_router * r) {
    const struct ggml_tensor * input = layout_src(s->l, s->nodes[product])[1];
    const uint32_t mul = number_of(s, input, product);
    if (mul == UINT32_MAX || !op_is(s, input, "MUL")) { return; }
    const struct ggml_tensor *normed = layout_src(s->l, input)[0], *norm = layout_src(s->l, input)[1];
    const uint32_t node = number_of(s, normed, mul);
    const void * at = weight_at(s, mul, 1);
    if (node == UINT32_MAX || !op_is(s, normed, "RMS_NORM") || !norm || !at || !is_row(s, norm, r->weights.n_embd)) {
        return;
    }
    r->weights.norm = at;
    const struct ggml_tensor * residual = layout_src(s->l, normed)[0];
    r->residual = (struct early_source){ node, 0, residual && is_used_from(s, residual, chosen_by) };
}

static void find(const struct search * s, const struct graph_router * from, struct early_router * r) {
    struct early_weights weights = { 0 };
    const struct origin o = find_origin(s, layout_src(s->l, s->nodes[from->node])[from->src], from->node);
    const uint32_t node = o.product ? number_of(s, o.product, from->node) : UINT32_MAX;
    *r = (struct early_router){ .weights = { .gate = NULL } };
    if (node == UINT32_MAX || !read_gate(s, o.product, node, &weights)) { return; }
    add_bias(s, &o, &weights);
    r->weights = weights;
    const struct ggml_tensor * input = layout_src(s->l, o.product)[1];
    r->input = (struct early_source){ node, 1, input && is_used_from(s, input, from->node) };
    find_residual(s, node, from->node, r);
}

void early_routers_find(const struct host * host, struct ggml_cgraph * graph, const struct graph_uses * uses,
                        struct early_router * routers) {
    const struct search s = search_of(host, graph, uses);
    for (uint32_t i = 0; i < uses->n_routers; i++) { find(&s, &uses->router[i], &routers[i]); }
}

/* ---- once the router has chosen ---- */

static const float * row_at(const struct search * s, const struct early_source * from, uint32_t n) {
    const struct ggml_tensor * t = from->is_known ? layout_src(s->l, s->nodes[from->node])[from->src] : NULL;
    const void * data = t && is_row(s, t, n) ? layout_data(s->l, t) : NULL;
    return data;
}

const float * early_input(const struct host * host, struct ggml_cgraph * graph, const struct early_router * now,
                          const struct early_router * next, bool * is_residual) {
    const struct search s = search_of(host, graph, NULL);
    if (!now->weights.gate || !next->weights.gate || now->weights.n_embd != next->weights.n_embd) { return NULL; }
    *is_residual = now->residual.is_known && next->weights.norm;
    return row_at(&s, *is_residual ? &now->residual : &now->input, now->weights.n_embd);
}
