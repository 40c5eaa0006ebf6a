/* SPDX-License-Identifier: MIT
 *
 * A transformer of three layers with a mixture of experts, built as llama.cpp builds its graphs: weights in a mapped
 * GGUF file, a KV cache that fills up, views, permutations, row ids. Layer 0 has attention sinks (five operands), layer
 * 1 no mask (a gap among the operands), layer 2 attention in pieces with V stored transposed.
 */
#ifndef TOY_MODEL_H
#define TOY_MODEL_H

#include "fakeggml.h"

enum {
    TOY_LAYERS = 3,
    TOY_EMBD = 32,
    TOY_HEADS = 4,
    TOY_KV_HEADS = 2,
    TOY_HEAD = 8, /* elements */
    TOY_KV_EMBD = TOY_KV_HEADS * TOY_HEAD,
    TOY_FF = 64,
    TOY_EXPERTS = 4,
    TOY_USED = 2,
    TOY_VOCAB = 64,
    TOY_KV_SIZE = 256,
    TOY_KV_STEP = 32, /* the extent that is read grows by this */
    TOY_ROWS_MAX = 8,
    TOY_NODES_MAX = 192,
};

enum { TOY_TOKENS, TOY_OUTPUT_NORM, TOY_OUTPUT, TOY_MODEL_WEIGHTS };
enum {
    TOY_ATTN_NORM,
    TOY_ATTN_Q,
    TOY_ATTN_K,
    TOY_ATTN_V,
    TOY_ATTN_SINKS,
    TOY_ATTN_OUT,
    TOY_FFN_NORM,
    TOY_ROUTER,
    TOY_UP,
    TOY_DOWN,
    TOY_LAYER_WEIGHTS
};

struct toy_model {
    char * map;
    size_t size;
    void * memory;
    struct ggml_context * context;
    struct ggml_backend_buffer * buffer;
    struct ggml_tensor * weight[TOY_MODEL_WEIGHTS];
    struct ggml_tensor * layer[TOY_LAYERS][TOY_LAYER_WEIGHTS];
};

/* From here on, what is made after something was freed takes its address: models, contexts, and all in them. One model
 * and one context at a time. */
void toy_reuse_addresses(void);

/* Zeroed memory, to be given back with toy_free; if addresses are reused, with all that was taken since. */
void * toy_alloc(size_t bytes);
void toy_free(void * memory);

/* Returns 0, or -1 with errno. Different seeds give different weights. */
int toy_write_model(const char * path, int seed);
int toy_load(struct toy_model * model, const char * path);
void toy_unload(struct toy_model * model);

struct toy_context; /* one KV cache, one graph at a time */

struct toy_context * toy_context_new(const struct toy_model * model, int n_threads);
void toy_context_free(struct toy_context * context);

/* The mask's type from the next evaluation on: F16 or BF16. */
void toy_set_mask_type(struct toy_context * context, int type);

/* Evaluates n tokens after those before; an aborted evaluation does not count. Returns ggml's status. The plan's
 * callback is the caller's; that it is still there afterwards is checked. */
int toy_evaluate(struct toy_context * context, const int32_t * tokens, int n, bool (*callback)(void *), void * data);

/* The TOY_VOCAB logits of the last row. */
const float * toy_logits(const struct toy_context * context);

#endif
