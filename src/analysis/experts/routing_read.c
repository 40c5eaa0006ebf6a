/* SPDX-License-Identifier: MIT */
#include "analysis/experts/routing_read.h"

#include <stdlib.h>
#include <string.h>

#include "format/expert_stack.h"
#include "format/output_rows.h"

static bool pool_reserve(struct reading * r, struct pool * p, size_t more) {
    if (p->count + more <= p->capacity) { return true; }
    const size_t capacity = 2 * (p->count + more);
    uint32_t *   bigger   = realloc(p->at, capacity * sizeof *bigger);
    if (!bigger) {
        r->failed = true;
        return false;
    }
    p->at       = bigger;
    p->capacity = capacity;
    return true;
}

static const struct tat_entry * node_of(const struct tat_template * t, uint32_t node) {
    return &t->entries[t->n_leaves + node];
}

/* Shapes are bounded where they are decoded, their sum is not: a hostile one only wraps. */
uint64_t routing_slice_bytes(const struct subject * subject, const struct routed * routed,
                             const struct routed_layer * layer) {
    const struct tat_template * t     = &subject->templates[subject->evaluations[routed->evaluation].template_id];
    uint64_t                    bytes = 0;
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

static struct found * find_layer(struct reading * r, uint16_t layer) {
    return r->found_at[layer] ? &r->found[r->found_at[layer] - 1] : NULL;
}

static struct found * new_found(struct reading * r, uint16_t layer) {
    if (r->n_found == r->capacity) {
        const uint32_t        capacity = r->capacity ? 2 * r->capacity : 64;
        struct found *        found    = realloc(r->found, capacity * sizeof *found);
        struct routed_layer * layers   = found ? realloc(r->layers, capacity * sizeof *layers) : NULL;
        if (found) { r->found = found; }
        if (layers) { r->layers = layers; }
        if (!layers) {
            r->failed = true;
            return NULL;
        }
        r->capacity = capacity;
    }
    r->found_at[layer] = ++r->n_found;
    return &r->found[r->n_found - 1];
}

/* -------------------------------------------------------------------------------------------------------- captures */

/* A layer's name is on the node that uses the ids, or on the ids. */
static uint16_t layer_of(const struct reading * r, const struct tat_capture * c) {
    const uint16_t layer = node_of(r->t, c->node)->layer;
    return layer != TAT_NO_LAYER ? layer : r->t->entries[c->entry].layer;
}

static void take_ids(struct reading * r, const struct tat_capture * c, const int64_t * values, size_t count) {
    const struct tat_entry *  ids   = &r->t->entries[c->entry];
    const struct expert_stack stack = expert_stack_of(r->t, node_of(r->t, c->node));
    const uint64_t            there = stack.experts;
    const uint16_t            layer = layer_of(r, c);
    if (count == 0) {
        r->faults->missing += ids->ne[1] != 0;
        return;
    }
    if (layer == TAT_NO_LAYER) {
        r->faults->nowhere += count;
        return;
    }
    if (find_layer(r, layer)) {
        r->faults->others++;
        return;
    }
    if (ids->ne[0] == 0 || ids->ne[0] > ROUTING_EXPERTS_MAX || count % ids->ne[0] || there == 0 ||
        there > ROUTING_EXPERTS_MAX || !pool_reserve(r, &r->ids, count)) {
        r->faults->nobody += count;
        return;
    }
    struct found * f = new_found(r, layer);
    if (!f) { return; }
    *f = (struct found){
        .layer = { .layer     = layer,
                   .n_experts = (uint32_t) there,
                   .n_used    = (uint32_t) ids->ne[0],
                   .n_rows    = (uint32_t) (count / ids->ne[0]),
                   .entry     = c->entry },
        .ids   = r->ids.count,
    };
    for (size_t i = 0; i < count; i++) {
        const bool right            = values[i] >= 0 && (uint64_t) values[i] < there;
        r->ids.at[r->ids.count + i] = right ? (uint32_t) values[i] : ROUTING_NOBODY;
        r->faults->nobody += !right;
    }
    r->ids.count += count;
}

static void take_gates(struct reading * r, const struct tat_capture * c, const int64_t * values, size_t count) {
    struct found * f = find_layer(r, layer_of(r, c));
    if (!f || f->has_gates || count != (size_t) f->layer.n_rows * f->layer.n_used || count == 0 ||
        !pool_reserve(r, &r->gates, count)) {
        return;
    }
    f->has_gates = true;
    f->gates     = r->gates.count;
    for (size_t i = 0; i < count; i++) { r->gates.at[r->gates.count++] = (uint32_t) values[i]; }
}

/* Ids of tokens, which are rows of the embedding. */
static void take_tokens(struct reading * r, const int64_t * values, size_t count) {
    if (count != r->t->n_tokens || r->tokens.count || !pool_reserve(r, &r->tokens, count)) { return; }
    for (size_t i = 0; i < count; i++) {
        const bool right                = values[i] >= 0 && values[i] < UINT32_MAX;
        r->tokens.at[r->tokens.count++] = right ? (uint32_t) values[i] : UINT32_MAX;
    }
}

/* The rows whose output is asked for, or the tokens. */
static void take_rows(struct reading * r, const struct tat_capture * c, const int64_t * values, size_t count) {
    const struct tat_entry * node   = node_of(r->t, c->node);
    const uint32_t           source = node->src[0];
    if (c->entry >= r->t->n_leaves || strcmp(node->op, "GET_ROWS") != 0 || source == TAT_NO_ENTRY) { return; }
    const struct tat_tensor * from = &r->subject->tensors[r->t->entries[source].tensor];
    if (from->component == TAT_COMPONENT_TOKEN_EMBD) { take_tokens(r, values, count); }
    if (!picks_output_rows(r->t, r->subject->tensors, c)) { return; }
    r->out.count = 0;
    r->has_out   = count > 0 && pool_reserve(r, &r->out, count);
    for (size_t i = 0; i < count && r->has_out; i++) {
        r->has_out = values[i] >= 0 && (uint64_t) values[i] < r->t->n_tokens;
        if (r->has_out) { r->out.at[r->out.count++] = (uint32_t) values[i]; }
    }
}

static void take_positions(struct reading * r, const int64_t * values, size_t count) {
    const size_t n = count < r->t->n_tokens ? count : r->t->n_tokens;
    if (r->has_positions || n == 0) { return; }
    r->has_positions = true;
    r->first         = values[0];
    r->last          = values[n - 1];
    for (size_t i = 1; i < n; i++) { r->one_sequence &= values[i - 1] != INT64_MAX && values[i] == values[i - 1] + 1; }
}

static bool take(uint32_t capture, const int64_t * values, size_t count, void * user) {
    struct reading *           r = user;
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

/* Which token each row is: each one, or those whose output is asked for. */
static void place_rows(struct reading * r) {
    for (uint32_t i = 0; i < r->n_found; i++) {
        struct found * f = &r->found[i];
        f->layer.placed  = f->layer.n_rows == r->t->n_tokens;
        if (!f->layer.placed && r->has_out && r->out.count == f->layer.n_rows) {
            f->layer.placed = f->has_token = true;
        }
    }
}

static void finish_layers(struct reading * r) {
    place_rows(r);
    for (uint32_t i = 0; i < r->n_found; i++) {
        const struct found * f = &r->found[i];
        r->layers[i]           = f->layer;
        r->layers[i].ids       = r->ids.at + f->ids;
        /* The bits of floats, which is what they are read as from here on. */
        r->layers[i].gates = f->has_gates ? (const float *) (const void *) (r->gates.at + f->gates) : NULL;
        r->layers[i].token = f->has_token ? r->out.at : NULL;
    }
}

void routing_read(struct reading * r, uint32_t evaluation) {
    const struct tat_evaluation * e = &r->subject->evaluations[evaluation];
    r->t                            = &r->subject->templates[e->template_id];
    for (uint32_t i = 0; i < r->n_found; i++) { r->found_at[r->found[i].layer.layer] = 0; }
    r->n_found      = 0;
    r->tokens.count = r->ids.count = r->gates.count = r->out.count = 0;
    r->has_out = r->has_positions = false;
    r->one_sequence               = true;
    if (tat_trace_each_capture(r->subject->trace, evaluation, take, r, NULL) < 0) { r->failed = true; }
    if (!r->failed) { finish_layers(r); }
}

bool routing_read_begin(struct reading * r, const struct subject * subject, struct routing_faults * faults) {
    *r          = (struct reading){ .subject = subject, .faults = faults };
    *faults     = (struct routing_faults){ 0 };
    r->found_at = calloc(TAT_NO_LAYER + 1, sizeof *r->found_at);
    r->failed   = !r->found_at;
    return !r->failed;
}

void routing_read_end(struct reading * r) {
    free(r->found);
    free(r->found_at);
    free(r->layers);
    free(r->tokens.at);
    free(r->ids.at);
    free(r->gates.at);
    free(r->out.at);
}
