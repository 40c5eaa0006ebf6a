/* SPDX-License-Identifier: MIT */
#include "analysis/choices.h"

#include <stdlib.h>
#include <string.h>

enum { COUNTERS_MAX = 1 << 22 }; /* in all layers; far more than any model has */

void choice_table_free(struct choice_table * table) {
    for (uint32_t i = 0; i < table->n_layers; i++) { free(table->layer[i].half[0]); }
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
    if (c->n_experts || table->counters + 2 * n > COUNTERS_MAX) { return true; }
    uint64_t * counts = calloc(2 * n, sizeof *counts);
    if (!counts) { return false; }
    table->counters += 2 * n;
    *c = (struct choices){ .half = { counts, counts + n }, .n_experts = l->n_experts, .layer = l->layer };
    return true;
}

bool choice_table_add(struct choice_table * table, const struct routing * routing, int half) {
    for (uint32_t i = 0; i < routing->layers.count; i++) {
        const struct routed_layer * l = &routing_layers(routing)[i];
        struct choices * c = layer_of(table, l->layer);
        if (!c || !make_counters(table, c, l)) { return false; }
        const size_t count = (size_t) l->n_rows * l->n_used;
        for (size_t k = 0; k < count; k++) {
            if (l->ids[k] >= c->n_experts) { continue; }
            c->half[half][l->ids[k]]++;
            c->selections++;
        }
    }
    return true;
}
