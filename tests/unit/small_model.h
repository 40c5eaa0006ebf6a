/* SPDX-License-Identifier: MIT
 *
 * Traces of a model of three weights: an embedding that is the output's matrix too, a projection in layer 0, a stack of
 * four experts in layer 1.
 */
#ifndef SMALL_MODEL_H
#define SMALL_MODEL_H

#include "trace_builder.h"

enum {
    WIDTH = 8,
    VOCABULARY = 10,
    N_EXPERTS = 4,
    EMBD_ROW = WIDTH * 4,
    EMBD_BYTES = VOCABULARY * EMBD_ROW,
    QUERY_BYTES = WIDTH * WIDTH * 4,
    EXPERT_BYTES = WIDTH * 4 * 4,
    CALLBACKS = 4, /* rows of the embedding, projection, experts, output */
};

struct small_model {
    uint32_t embd, query, experts;       /* tensors */
    uint32_t tokens, chosen, results[4]; /* inputs and results of the graph */
};

void small_model_begin(struct trace_builder * b, struct small_model * m);

/* Adds its weights again in new tensors, which graphs made from here on read. */
void small_model_load_again(struct trace_builder * b, struct small_model * m);

/* Adds a graph of so many tokens, each of which chooses two experts. */
uint32_t small_model_template(struct trace_builder * b, const struct small_model * m, uint64_t n_tokens);

void small_model_evaluate(struct trace_builder * b, uint32_t template_id, const int64_t * tokens, size_t n,
                          const uint32_t * experts);
/* An evaluation that ends after `callbacks` operations, before experts were chosen. */
void small_model_end_early(struct trace_builder * b, uint32_t template_id, const int64_t * tokens, size_t n,
                           uint32_t callbacks);

/* Aborts unless a reader takes the trace for whole. */
struct tat_trace * small_model_open(struct trace_builder * b);

#endif
