/* SPDX-License-Identifier: MIT */
#include "pressure/needs.h"

#include <stdbool.h>
#include <string.h>

enum {
    BATCH = 512,
    CONTEXT_STEP = 256,
    PROGRAM = 6 << 20,
    LIBRARIES = 12 << 20, /* with the program's own pages: llama.cpp's, measured with October 2026's */
    PROGRAM_TOKEN = 300,  /* SmolLM2, 49,152 tokens: 22.5 MiB beside the KV cache, measured with llama.cpp b11549 */
    PROGRAM_TENSOR = 12 << 10, /* llama.cpp keeps room for 8 nodes of a graph for each, in several graphs; measured */
};

/* Of a row of n elements. */
static double type_bytes(const char * type, double n) {
    static const struct {
        const char * name;
        double bytes;
    } types[] = { { "f32", 4 },         { "f16", 2 },         { "bf16", 2 },
                  { "q8_0", 34 / 32. }, { "q5_1", 24 / 32. }, { "q5_0", 22 / 32. },
                  { "q4_1", 20 / 32. }, { "q4_0", 18 / 32. }, { "iq4_nl", 18 / 32. } };
    for (size_t i = 0; type && i < sizeof types / sizeof *types; i++) {
        if (strcmp(types[i].name, type) == 0) { return n * types[i].bytes; }
    }
    return 2 * n;
}

/* On x86, by ggml's CPU backend of October 2026. */
static bool may_be_repacked(const struct tat_gguf_tensor * tensor) {
    static const char * const types[] = { "q4_0", "q4_K", "q2_K", "iq4_nl", "mxfp4" };
    const struct tat_type * type = tat_type_of(tensor->type);
    for (size_t i = 0; type && tensor->n_dims > 1 && i < sizeof types / sizeof *types; i++) {
        if (strcmp(types[i], type->name) == 0) { return true; }
    }
    return false;
}

static uint64_t repacked(const struct tat_gguf * gguf) {
    uint32_t count;
    uint64_t bytes = 0;
    const struct tat_gguf_tensor * tensors = tat_gguf_tensors(gguf, &count);
    for (uint32_t i = 0; i < count; i++) { bytes += may_be_repacked(&tensors[i]) ? tensors[i].bytes : 0; }
    return bytes;
}

struct needs needs_of(const struct tat_gguf * gguf, const struct needs_options * options) {
    const struct tat_gguf_params * p = tat_gguf_params(gguf);
    uint32_t n_tensors;
    tat_gguf_tensors(gguf, &n_tensors);
    struct needs needs = { .context = options->context ? options->context : p->n_ctx_train };
    const uint64_t batch = options->batch ? options->batch : BATCH;
    const uint64_t rows = batch < needs.context ? batch : needs.context;
    const uint64_t cells = (needs.context + CONTEXT_STEP - 1) / CONTEXT_STEP * CONTEXT_STEP;
    const double most = 1e18; /* beyond all memory: the file may say anything */
    double cell = 0;
    for (uint32_t layer = 0; p->layer_n_head_kv && layer + (uint64_t) p->n_layer_nextn < p->n_layer; layer++) {
        const double heads = p->layer_n_head_kv[layer];
        cell += type_bytes(options->type_k, heads * p->n_embd_head_k);
        cell += type_bytes(options->type_v, heads * p->n_embd_head_v);
    }
    const double kv = cell * (double) cells;
    needs.kv = (uint64_t) (kv < most ? kv : most);
    needs.repack_most = repacked(gguf);
    needs.compute_most = rows * ((uint64_t) p->n_vocab + 4 * p->n_embd) * sizeof(float);
    needs.libraries = LIBRARIES;
    needs.program = PROGRAM + (uint64_t) p->n_vocab * PROGRAM_TOKEN + (uint64_t) n_tensors * PROGRAM_TENSOR;
    return needs;
}
