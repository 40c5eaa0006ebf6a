/* SPDX-License-Identifier: MIT */
#include "analysis/choices.h"

#include <stdlib.h>
#include <string.h>

#include "format/expert_stack.h"

enum { COUNTERS_MAX = 1 << 22 }; /* of all layers; far more than any model has */

struct choosing {
    struct choice_table * table;
    const struct tat_template * template;
    int half;
};

void choice_table_free(struct choice_table * table) {
    for (uint32_t i = 0; i < table->n_layers; i++) { free(table->layer[i].half[0]); }
    free(table->layer);
}

/* NULL: memory. */
static struct choices * layer_of(struct choice_table * table, uint16_t layer) {
    if (layer >= table->n_layers) {
        struct choices * more = reallocarray(table->layer, layer + 1u, sizeof *more);
        table->failed |= !more;
        if (!more) { return NULL; }
        memset(&more[table->n_layers], 0, (layer + 1u - table->n_layers) * sizeof *more);
        table->layer    = more;
        table->n_layers = layer + 1u;
    }
    return &table->layer[layer];
}

/* Whether the layer has room for `n` experts; made with its first choice. */
static bool has_room(struct choice_table * table, struct choices * layer, uint64_t n) {
    if (layer->n_experts) { return true; }
    if (n == 0 || n > TAT_NO_EXPERT || table->counters + 2 * n > COUNTERS_MAX) { return false; }
    uint64_t * counts = calloc(2 * n, sizeof *counts);
    table->failed |= !counts;
    if (!counts) { return false; }
    table->counters += 2 * n;
    layer->half[0]   = counts;
    layer->half[1]   = counts + n;
    layer->n_experts = (uint32_t) n;
    return true;
}

static bool add(uint32_t capture, const int64_t * values, size_t count, void * user) {
    const struct choosing *    x = user;
    const struct tat_capture * c = &x->template->captures[capture];
    if (c->kind != TAT_CAPTURE_EXPERTS) { return true; }
    const struct tat_entry * node  = &x->template->entries[x->template->n_leaves + c->node];
    const uint16_t           of    = node->layer != TAT_NO_LAYER ? node->layer : x->template->entries[c->entry].layer;
    struct choices *         layer = layer_of(x->table, of);
    if (!layer || !has_room(x->table, layer, expert_stack_of(x->template, node).experts)) { return !x->table->failed; }
    layer->layer = of;
    for (size_t i = 0; i < count; i++) {
        if (values[i] < 0 || (uint64_t) values[i] >= layer->n_experts) { continue; }
        layer->half[x->half][values[i]]++;
        layer->selections++;
    }
    return true;
}

void choice_table_add(struct choice_table * table, const struct tat_trace * trace, uint32_t evaluation, int half) {
    uint32_t                      count;
    const struct tat_evaluation * e = &tat_trace_evaluations(trace, &count)[evaluation];
    struct choosing               x = { table, &tat_trace_templates(trace, &count)[e->template_id], half };
    if (tat_trace_each_capture(trace, evaluation, add, &x, NULL) < 0) { table->failed = true; }
}
