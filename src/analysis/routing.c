/* SPDX-License-Identifier: MIT */
#include "analysis/routing.h"

#include <stdlib.h>

#include "format/expert_stack.h"
#include "format/rows_from.h"

static const struct tat_entry * node_of(const struct tat_template * t, uint32_t node) {
    return &t->entries[t->n_leaves + node];
}

/* A layer's name is on the node that uses the ids, or on the ids. */
static uint16_t layer_number(const struct routing * r, const struct tat_capture * c) {
    const uint16_t layer = node_of(r->t, c->node)->layer;
    return layer != TAT_NO_LAYER ? layer : r->t->entries[c->entry].layer;
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
    const uint16_t layer = layer_number(r, c);
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
    struct routed_layer * l = list_add(&r->layers, sizeof *l);
    r->failed |= !l;
    if (r->failed) { return; }
    r->layer_at[layer] = r->layers.count;
    *l = (struct routed_layer){ .layer = layer,
                                .n_experts = (uint32_t) experts,
                                .n_used = (uint32_t) n_used,
                                .n_rows = (uint32_t) (count / n_used),
                                .entry = c->entry,
                                .first = first };
    for (size_t i = 0; i < count; i++) {
        const bool there = values[i] >= 0 && (uint64_t) values[i] < experts;
        chosen[i] = there ? (uint32_t) values[i] : ROUTING_NOBODY;
        r->faults.nobody += !there;
    }
}

/* The values are the bits of floats. */
static void take_gates(struct routing * r, const struct tat_capture * c, const int64_t * values, size_t count) {
    struct routed_layer * l = find_layer(r, layer_number(r, c));
    if (!l || l->gated || count != (size_t) l->n_rows * l->n_used) { return; }
    l->gated = true;
    for (size_t i = 0; i < count; i++) {
        const uint32_t bits = (uint32_t) values[i];
        memcpy(&LIST(float, r->gates)[l->first + i], &bits, sizeof bits);
    }
}

/* Ids of tokens, which are rows of the embedding. */
static void take_tokens(struct routing * r, const int64_t * values, size_t count) {
    if (count == 0 || count != r->t->n_tokens || r->tokens.count) { return; }
    uint32_t * tokens = extend(r, &r->tokens, sizeof *tokens, count);
    for (size_t i = 0; tokens && i < count; i++) {
        tokens[i] = values[i] >= 0 && values[i] < UINT32_MAX ? (uint32_t) values[i] : UINT32_MAX;
    }
}

/* The rows whose output is asked for: what the last layer goes on with. */
static void take_outputs(struct routing * r, const int64_t * values, size_t count) {
    r->out.count = 0;
    uint32_t * out = count ? extend(r, &r->out, sizeof *out, count) : NULL;
    for (size_t i = 0; out && i < count; i++) {
        if (values[i] < 0 || (uint64_t) values[i] >= r->t->n_tokens) {
            r->out.count = 0;
            return;
        }
        out[i] = (uint32_t) values[i];
    }
}

/* Which rows to get is an input of the graph; of a result, only those that output is asked for are. */
static void take_rows(struct routing * r, const struct tat_capture * c, const int64_t * values, size_t count) {
    const bool input = c->entry < r->t->n_leaves;
    if (input && picks_tokens(r->t, r->tensors, node_of(r->t, c->node))) { take_tokens(r, values, count); }
    if (picks_output_rows(r->t, r->tensors, c)) { take_outputs(r, values, count); }
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
    switch (c->kind) {
        case TAT_CAPTURE_EXPERTS: take_ids(r, c, values, count); break;
        case TAT_CAPTURE_GATES: take_gates(r, c, values, count); break;
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
    r->layers.count = r->tokens.count = r->ids.count = r->gates.count = r->out.count = 0;
    r->has_positions = false;
    r->one_sequence = true;
    r->failed = !r->layer_at;
    return !r->failed;
}

/* The arrays stay where they are from here on. Each row is a token, or those rows are whose output is asked for. */
static void finish_layers(struct routing * r) {
    for (uint32_t i = 0; i < r->layers.count; i++) {
        struct routed_layer * l = &LIST(struct routed_layer, r->layers)[i];
        const bool all = l->n_rows == r->t->n_tokens;
        const bool some = !all && r->out.count == l->n_rows;
        l->placed = all || some;
        l->token = some ? LIST(const uint32_t, r->out) : NULL;
        l->ids = LIST(const uint32_t, r->ids) + l->first;
        l->gates = l->gated ? LIST(const float, r->gates) + l->first : NULL;
    }
}

bool routing_read(struct routing * r, const struct tat_trace * trace, uint32_t evaluation) {
    uint32_t n;
    r->t = &tat_trace_templates(trace, &n)[tat_trace_evaluations(trace, &n)[evaluation].template_id];
    r->tensors = tat_trace_tensors(trace, &n);
    if (!empty(r) || tat_trace_each_capture(trace, evaluation, take, r, NULL) < 0 || r->failed) { return false; }
    finish_layers(r);
    return true;
}

void routing_free(struct routing * r) {
    free(r->layers.data);
    free(r->tokens.data);
    free(r->layer_at);
    free(r->ids.data);
    free(r->gates.data);
    free(r->out.data);
}

/* Shapes are bounded where they are decoded, their sum is not: a hostile one only wraps. */
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
