/* SPDX-License-Identifier: MIT */
#include "analysis/routing.h"

#include <stdlib.h>

#include "format/expert_stack.h"
#include "format/rows_from.h"

static const struct tat_entry * node_of(const struct tat_template * t, uint32_t node) {
    return &t->entries[t->n_leaves + node];
}

static struct routed_layer * find_layer(const struct routing * r, uint16_t layer) {
    return r->layer_at[layer] ? &LIST(struct routed_layer, r->layers)[r->layer_at[layer] - 1] : NULL;
}

static void * extend(struct routing * r, struct list * list, size_t size, size_t count) {
    void * first = list_extend(list, size, count);
    r->failed |= !first;
    return first;
}

static void take_ids(struct routing * r, const struct tat_capture * c, const int64_t * values, size_t count) {
    const struct tat_entry * ids = &r->t->entries[c->entry];
    const uint64_t n_used = ids->ne[0];
    const uint64_t experts = expert_stack_of(r->t, node_of(r->t, c->node)).experts;
    const uint16_t layer = r->route.layer;
    r->choice = NULL;
    if (!tat_trace_has_layer(r->trace, layer)) { return; }
    if (count == 0) {
        r->faults.missing += ids->ne[1] != 0;
        return;
    }
    if (layer == TAT_NO_LAYER) {
        r->faults.nowhere += count;
        return;
    }
    if (find_layer(r, layer)) {
        r->faults.others++;
        return;
    }
    if (n_used == 0 || n_used > ROUTING_EXPERTS_MAX || count % n_used || experts == 0 ||
        experts > ROUTING_EXPERTS_MAX) {
        r->faults.nobody += count;
        return;
    }
    const uint32_t first = r->ids.count;
    uint32_t * chosen = extend(r, &r->ids, sizeof *chosen, count);
    float * gates = extend(r, &r->gates, sizeof *gates, count);
    uint32_t * rows = extend(r, &r->rows, sizeof *rows, count / n_used);
    struct routed_layer * l = list_add(&r->layers, sizeof *l);
    r->failed |= !l;
    if (r->failed) { return; }
    r->layer_at[layer] = r->layers.count;
    *l = (struct routed_layer){ .layer = layer,
                                .n_experts = (uint32_t) experts,
                                .n_used = (uint32_t) n_used,
                                .n_rows = (uint32_t) (count / n_used),
                                .entry = c->entry,
                                .placed = true,
                                .first = first,
                                .first_row = r->rows.count - (uint32_t) (count / n_used) };
    for (size_t i = 0; i < l->n_rows; i++) {
        rows[i] = route_row(&r->route, i);
        l->placed &= rows[i] != TAT_NO_ROW;
    }
    for (size_t i = 0; i < count; i++) {
        const bool there = values[i] >= 0 && (uint64_t) values[i] < experts;
        chosen[i] = there ? (uint32_t) values[i] : ROUTING_NOBODY;
        r->faults.nobody += !there;
    }
    r->choice = l;
}

static void take_gates(struct routing * r, const int64_t * values, size_t count) {
    if (!r->choice) { return; }
    r->choice->gated = true;
    for (size_t i = 0; i < count; i++) {
        const uint32_t bits = (uint32_t) values[i];
        memcpy(&LIST(float, r->gates)[r->choice->first + i], &bits, sizeof bits);
    }
}

/* Reads the ids of tokens, which are rows of the embedding. */
static void take_tokens(struct routing * r, const int64_t * values, size_t count) {
    if (count == 0 || count != r->t->n_tokens || r->tokens.count) { return; }
    uint32_t * tokens = extend(r, &r->tokens, sizeof *tokens, count);
    for (size_t i = 0; tokens && i < count; i++) {
        tokens[i] = values[i] >= 0 && values[i] < UINT32_MAX ? (uint32_t) values[i] : UINT32_MAX;
    }
}

/* The rows to pick are an input of the graph. */
static void take_rows(struct routing * r, const struct tat_capture * c, const int64_t * values, size_t count) {
    const bool input = c->entry < r->t->n_leaves;
    if (input && picks_tokens(r->t, r->tensors, node_of(r->t, c->node))) { take_tokens(r, values, count); }
}

static void take_positions(struct routing * r, const int64_t * values, size_t count) {
    const size_t n = count < r->t->n_tokens ? count : r->t->n_tokens;
    if (r->has_positions || n == 0) { return; }
    r->has_positions = true;
    r->first = values[0];
    r->last = values[n - 1];
    for (size_t i = 1; i < n; i++) { r->one_sequence &= values[i - 1] != INT64_MAX && values[i] == values[i - 1] + 1; }
}

static bool take(uint32_t capture, const int64_t * values, size_t count, void * user) {
    struct routing * r = user;
    const struct tat_capture * c = &r->t->captures[capture];
    const enum route_event event = route_feed(&r->route, capture, values, count);
    if (event == ROUTE_CHOICE) { take_ids(r, c, values, count); }
    if (event == ROUTE_GATES) { take_gates(r, values, count); }
    r->failed |= r->route.failed;
    switch (c->kind) {
        case TAT_CAPTURE_ROWS: take_rows(r, c, values, count); break;
        case TAT_CAPTURE_POSITIONS: take_positions(r, values, count); break;
        default: break;
    }
    return !r->failed;
}

/* Forgets the evaluation before. */
static bool empty(struct routing * r) {
    if (!r->layer_at) { r->layer_at = calloc(TAT_NO_LAYER + 1, sizeof *r->layer_at); }
    for (uint32_t i = 0; i < r->layers.count; i++) { r->layer_at[routing_layers(r)[i].layer] = 0; }
    r->layers.count = r->tokens.count = r->ids.count = r->gates.count = r->rows.count = 0;
    r->choice = NULL;
    r->has_positions = false;
    r->one_sequence = true;
    r->failed = !r->layer_at;
    return !r->failed;
}

/* The arrays stay where they are from here on. */
static void finish_layers(struct routing * r) {
    for (uint32_t i = 0; i < r->layers.count; i++) {
        struct routed_layer * l = &LIST(struct routed_layer, r->layers)[i];
        l->token = LIST(const uint32_t, r->rows) + l->first_row;
        l->ids = LIST(const uint32_t, r->ids) + l->first;
        l->gates = l->gated ? LIST(const float, r->gates) + l->first : NULL;
    }
}

bool routing_read(struct routing * r, const struct tat_trace * trace, uint32_t evaluation) {
    uint32_t n;
    r->t = &tat_trace_templates(trace, &n)[tat_trace_evaluations(trace, &n)[evaluation].template_id];
    r->tensors = tat_trace_tensors(trace, &n);
    r->trace = trace;
    if (!empty(r)) { return false; }
    route_begin(&r->route, r->t, r->tensors);
    if (tat_trace_each_capture(trace, evaluation, take, r, NULL) < 0 || r->failed) { return false; }
    finish_layers(r);
    return true;
}

void routing_free(struct routing * r) {
    free(r->layers.data);
    free(r->tokens.data);
    free(r->layer_at);
    free(r->ids.data);
    free(r->gates.data);
    free(r->rows.data);
    route_free(&r->route);
}

/* Decoding bounds each shape, but not their sum; a hostile one only wraps. */
uint64_t routing_slice_bytes(const struct tat_template * t, const struct routed_layer * layer) {
    uint64_t bytes = 0;
    for (uint32_t n = 0; n < t->n_nodes; n++) {
        const struct tat_entry * node = node_of(t, n);
        if (node->src[2] != layer->entry) { continue; }
        const struct expert_stack s = expert_stack_of(t, node);
        if (!s.e || s.e->type_block == 0) { continue; }
        const uint64_t row = s.e->ne[0] / s.e->type_block * s.e->type_block_bytes;
        bytes += s.dimension == 2 ? row * s.e->ne[1] : row;
    }
    return bytes;
}
