/* SPDX-License-Identifier: MIT
 *
 * Hyper-parameters: metadata keys that begin with the architecture's name.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "gguf/model.h"

#define MAX_LAYERS (TAT_NO_LAYER - 1)

static const struct tat_gguf_kv * find(const struct tat_gguf * gguf, const char * suffix) {
    char key[256];
    const int length = snprintf(key, sizeof key, "%s.%s", gguf->params.architecture, suffix);
    return length < (int) sizeof key ? tat_gguf_find_key(gguf, key) : NULL;
}

/* 0 if there is none. An array has a value for each layer; the largest stands for it. */
static uint32_t number(const struct tat_gguf * gguf, const char * suffix) {
    const struct tat_gguf_kv * kv = find(gguf, suffix);
    uint32_t largest = 0;
    uint64_t value;
    for (uint64_t i = 0; tat_gguf_uint(kv, i, &value); i++) {
        if (value > largest && value <= UINT32_MAX) { largest = (uint32_t) value; }
    }
    return largest;
}

/* One value for all layers, or an array with one for each. Sets *largest. NULL: no memory. */
static const uint32_t * per_layer(struct tat_gguf * gguf, const char * suffix, const uint32_t * fallback,
                                  uint32_t * largest) {
    const struct tat_gguf_kv * kv = find(gguf, suffix);
    const bool array = kv && kv->type == TAT_GGUF_ARRAY;
    uint32_t * layers = arena_alloc(&gguf->arena, gguf->params.n_layer * sizeof *layers);
    if (!layers) { return NULL; }
    for (uint32_t i = 0; i < gguf->params.n_layer; i++) {
        uint64_t value;
        layers[i] = !kv && fallback ? fallback[i] : 0;
        if (tat_gguf_uint(kv, array ? i : 0, &value) && value <= UINT32_MAX) { layers[i] = (uint32_t) value; }
        if (layers[i] > *largest) { *largest = layers[i]; }
    }
    return layers;
}

static uint32_t vocabulary(const struct tat_gguf * gguf) {
    const uint32_t said = number(gguf, "vocab_size");
    if (said) { return said; }
    const struct tat_gguf_kv * tokens = tat_gguf_find_key(gguf, "tokenizer.ggml.tokens");
    if (tokens && tokens->type == TAT_GGUF_ARRAY && tokens->n <= UINT32_MAX) { return (uint32_t) tokens->n; }
    const struct tat_gguf_tensor * embedding = tat_gguf_find(gguf, "token_embd.weight");
    return embedding && embedding->ne[1] <= UINT32_MAX ? (uint32_t) embedding->ne[1] : 0;
}

static const char * text(const struct tat_gguf * gguf, const char * key) {
    const char * value = tat_gguf_string(tat_gguf_find_key(gguf, key));
    return value ? value : "";
}

static int check_layers(const struct tat_gguf * gguf, struct tat_error * error) {
    const struct tat_gguf_kv * kv = find(gguf, "block_count");
    uint64_t layers;
    if (!tat_gguf_uint(kv, 0, &layers) || layers <= MAX_LAYERS) { return 0; }
    return tat_fail(error, TAT_ERROR_INPUT, "%s: byte %" PRIu64 ": block_count is %" PRIu64 "; the maximum is %d",
                    input_path_end(gguf->files[0].path), kv->file_offset, layers, MAX_LAYERS);
}

/* Tells them apart as llama.cpp does. Projectors had no general.type before 2025. */
enum tat_part tat_gguf_part(const struct tat_gguf * gguf) {
    const char *type = text(gguf, "general.type"), *architecture = gguf->params.architecture;
    if (strcmp(type, "adapter") == 0) { return TAT_PART_ADAPTER; }
    if (strcmp(architecture, "controlvector") == 0) { return TAT_PART_CONTROL_VECTOR; }
    if (strcmp(type, "mmproj") == 0 || strcmp(architecture, "clip") == 0) { return TAT_PART_PROJECTOR; }
    return TAT_PART_MODEL;
}

const char * tat_part_name(enum tat_part part) {
    static const char * const names[] = { "unknown",   "model",          "adapter", "control vector",
                                          "projector", "unknown format", "draft" };
    return (unsigned) part < TAT_PART_COUNT ? names[part] : "";
}

int params_read(struct tat_gguf * gguf, struct tat_error * error) {
    struct tat_gguf_params * params = &gguf->params;
    params->architecture = text(gguf, "general.architecture");
    params->name = text(gguf, "general.name");
    if (check_layers(gguf, error)) { return -1; }
    params->n_layer = number(gguf, "block_count");
    params->n_layer_nextn = number(gguf, "nextn_predict_layers");
    params->n_embd = number(gguf, "embedding_length");
    params->n_vocab = vocabulary(gguf);
    params->n_ctx_train = number(gguf, "context_length");
    params->n_ff_expert = number(gguf, "expert_feed_forward_length");
    params->n_expert = number(gguf, "expert_count");
    params->n_expert_used = number(gguf, "expert_used_count");
    params->n_expert_shared = number(gguf, "expert_shared_count");
    params->n_embd_head_k = number(gguf, "attention.key_length");
    params->n_embd_head_v = number(gguf, "attention.value_length");
    if (params->n_layer) {
        params->layer_n_head = per_layer(gguf, "attention.head_count", NULL, &params->n_head);
        params->layer_n_head_kv = per_layer(gguf, "attention.head_count_kv", params->layer_n_head, &params->n_head_kv);
        params->layer_n_ff = per_layer(gguf, "feed_forward_length", NULL, &params->n_ff);
        if (!params->layer_n_head || !params->layer_n_head_kv || !params->layer_n_ff) {
            return tat_fail(error, TAT_ERROR_SYSTEM, "%s: no memory for the hyper-parameters",
                            input_path_end(gguf->files[0].path));
        }
    }
    /* This is llama.cpp's default too. */
    const uint32_t n_embd_head = params->n_head ? params->n_embd / params->n_head : 0;
    if (!params->n_embd_head_k) { params->n_embd_head_k = n_embd_head; }
    if (!params->n_embd_head_v) { params->n_embd_head_v = n_embd_head; }
    return 0;
}
