/* SPDX-License-Identifier: MIT */
#include "analysis/choices.h"

#include <stdlib.h>
#include <string.h>

enum {
    COUNTERS_MAX = 1 << 22, /* of all layers; far more than any model has */
    COUNTS = 3              /* of an expert: all, and by half */
};

void choice_table_free(struct choice_table * table) {
    for (uint32_t i = 0; i < table->n_layers; i++) { free(table->layer[i].all); }
    free(table->layer);
}

/* NULL: memory. */
static struct choices * layer_of(struct choice_table * table, uint16_t layer) {
    if (layer >= table->n_layers) {
        struct choices * more = reallocarray(table->layer, layer + 1u, sizeof *more);
        if (!more) { return NULL; }
        memset(&more[table->n_layers], 0, (layer + 1u - table->n_layers) * sizeof *more);
        table->layer = more;
        table->n_layers = layer + 1u;
    }
    return &table->layer[layer];
}

/* The counters of a layer, made at its first choice. If there are too many counters, the layer gets none. False: no
 * memory. */
static bool make_counters(struct choice_table * table, struct choices * c, const struct routed_layer * l) {
    const uint64_t n = l->n_experts;
    if (c->n_experts || table->counters + COUNTS * n > COUNTERS_MAX) { return true; }
    uint64_t * counts = calloc(COUNTS * n, sizeof *counts);
    if (!counts) { return false; }
    table->counters += COUNTS * n;
    *c = (struct choices){
        .all = counts, .half = { counts + n, counts + 2 * n }, .n_experts = l->n_experts, .layer = l->layer
    };
    return true;
}

/* The half that a row is in. 2: none. If the tokens of a layer's rows are not known, the rows are the last ones: those
 * whose output is asked for. */
static unsigned half_of(const struct routed_layer * l, uint32_t row, const struct choice_span * span) {
    const uint32_t known = l->placed ? routed_token(l, row) : TAT_NO_ROW;
    const uint32_t before = span->tokens > l->n_rows ? span->tokens - l->n_rows : 0;
    const uint64_t token = span->first + (known == TAT_NO_ROW ? before + row : known);
    return token < span->middle ? 0 : token < span->end ? 1 : 2;
}

static void add_row(struct choices * c, const struct routed_layer * l, uint32_t row, unsigned half) {
    const uint32_t * ids = l->ids + (size_t) row * l->n_used;
    for (uint32_t k = 0; k < l->n_used; k++) {
        c->hash = (c->hash ^ ids[k]) * UINT64_C(0x9e3779b97f4a7c15);
        c->hash ^= c->hash >> 29;
        if (ids[k] >= c->n_experts) { continue; }
        c->all[ids[k]]++;
        c->selections++;
        if (half < 2) { c->half[half][ids[k]]++; }
    }
}

bool choice_table_add(struct choice_table * table, const struct routing * routing, struct choice_span span) {
    for (uint32_t i = 0; i < routing->layers.count; i++) {
        const struct routed_layer * l = &routing_layers(routing)[i];
        struct choices * c = layer_of(table, l->layer);
        if (!c || !make_counters(table, c, l)) { return false; }
        for (uint32_t row = 0; row < l->n_rows; row++) { add_row(c, l, row, half_of(l, row, &span)); }
    }
    return true;
}
