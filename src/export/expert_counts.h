/* SPDX-License-Identifier: MIT
 *
 * How often each expert of each layer was chosen, over one or several runs of a model; and what follows for memory:
 * which experts to keep, and which layers' experts llama.cpp should leave to the CPU.
 */
#ifndef TAT_EXPORT_EXPERT_COUNTS_H
#define TAT_EXPORT_EXPERT_COUNTS_H

#include <stdbool.h>

#include "format/list.h"
#include "tat/trace.h"

/* Begins zeroed. */
struct expert_counts {
    struct list layers;      /* struct counted_layer, by number; those that never chose have no experts */
    struct list stacks;      /* struct counted_stack, of the first run */
    unsigned phases;         /* bits, 1 << enum tat_phase; 0: all of inference */
    uint64_t runs, counters; /* counters: experts of all layers */
};

struct counted_layer {
    uint64_t * count; /* by expert */
    uint32_t n_experts, n_used;
    uint64_t tokens, choices;
    uint64_t expert_bytes; /* of one expert in all stacks of the layer */
};

/* A tensor that holds a part of every expert of its layer. */
struct counted_stack {
    char * name;
    uint32_t layer;
};

/* Adds a run. `model`: as tat_trace_find_model takes it, or NULL. `name`: the run's, for messages. -1 with *error:
 * memory, an unknown model, or a layer with another number of experts than in the runs before. */
int expert_counts_add(struct expert_counts * c, const struct tat_trace * trace, const char * model, const char * name,
                      struct tat_error * error);
void expert_counts_free(struct expert_counts * c);

static inline struct counted_layer * counted_layers(const struct expert_counts * c) {
    return LIST(struct counted_layer, c->layers);
}

#endif
