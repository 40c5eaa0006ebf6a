/* SPDX-License-Identifier: MIT
 *
 * The model file: a small but true GGUF, written once and mapped by every run.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "toy_model.h"

enum { LINE = 64, REUSE_BYTES = 8 << 20, ALIGNMENT = 32, GGUF_U32 = 4, GGUF_STRING = 8, HEADER_MAX = 8192 };

static struct {
    char * window; /* where models are mapped */
    char *arena, *next;
} reuse;

void toy_reuse_addresses(void) {
    reuse.window = mmap(NULL, REUSE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    reuse.arena = reuse.next = aligned_alloc(LINE, REUSE_BYTES);
    if (reuse.window == MAP_FAILED || !reuse.arena) { abort(); }
}

void * toy_alloc(size_t bytes) {
    bytes = (bytes + LINE - 1) / LINE * LINE;
    char * memory = reuse.arena ? reuse.next : aligned_alloc(LINE, bytes);
    if (reuse.arena) { reuse.next += bytes; }
    if (!memory || (reuse.arena && reuse.next > reuse.arena + REUSE_BYTES)) { abort(); }
    return memset(memory, 0, bytes);
}

void toy_free(void * memory) {
    if (reuse.arena) {
        reuse.next = memory;
    } else {
        free(memory);
    }
}

struct shape {
    const char * name; /* as GGUF has it, without ".weight" */
    int64_t ne[3];
};

static const struct shape per_layer[TOY_LAYER_WEIGHTS] = {
    [TOY_ATTN_NORM] = { "attn_norm", { TOY_EMBD, 1, 1 } },
    [TOY_ATTN_Q] = { "attn_q", { TOY_EMBD, TOY_EMBD, 1 } },
    [TOY_ATTN_K] = { "attn_k", { TOY_EMBD, TOY_KV_EMBD, 1 } },
    [TOY_ATTN_V] = { "attn_v", { TOY_EMBD, TOY_KV_EMBD, 1 } },
    [TOY_ATTN_SINKS] = { "attn_sinks", { TOY_HEADS, 1, 1 } },
    [TOY_ATTN_OUT] = { "attn_output", { TOY_EMBD, TOY_EMBD, 1 } },
    [TOY_FFN_NORM] = { "ffn_norm", { TOY_EMBD, 1, 1 } },
    [TOY_ROUTER] = { "ffn_gate_inp", { TOY_EMBD, TOY_EXPERTS, 1 } },
    [TOY_UP] = { "ffn_up_exps", { TOY_EMBD, TOY_FF, TOY_EXPERTS } },
    [TOY_DOWN] = { "ffn_down_exps", { TOY_FF, TOY_EMBD, TOY_EXPERTS } },
};

static const struct shape of_model[TOY_MODEL_WEIGHTS] = {
    [TOY_TOKENS] = { "token_embd", { TOY_EMBD, TOY_VOCAB, 1 } },
    [TOY_OUTPUT_NORM] = { "output_norm", { TOY_EMBD, 1, 1 } },
    [TOY_OUTPUT] = { "output", { TOY_EMBD, TOY_VOCAB, 1 } },
};

enum { N_WEIGHTS = TOY_MODEL_WEIGHTS + TOY_LAYERS * TOY_LAYER_WEIGHTS };

static const struct shape * shape_of(int i, char * name, size_t size) {
    if (i < TOY_MODEL_WEIGHTS) {
        snprintf(name, size, "%s.weight", of_model[i].name);
        return &of_model[i];
    }
    const int layer = (i - TOY_MODEL_WEIGHTS) / TOY_LAYER_WEIGHTS, n = (i - TOY_MODEL_WEIGHTS) % TOY_LAYER_WEIGHTS;
    snprintf(name, size, "blk.%d.%s.weight", layer, per_layer[n].name);
    return &per_layer[n];
}

static size_t bytes_of(const struct shape * s) {
    const size_t bytes = (size_t) (s->ne[0] * s->ne[1] * s->ne[2]) * sizeof(float);
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

struct writer {
    uint8_t bytes[HEADER_MAX];
    size_t used;
};

static void put(struct writer * w, uint64_t value, size_t width) {
    memcpy(w->bytes + w->used, &value, width);
    w->used += width;
}

static void put_text(struct writer * w, const char * text) {
    put(w, strlen(text), 8);
    memcpy(w->bytes + w->used, text, strlen(text));
    w->used += strlen(text);
}

static void put_number(struct writer * w, const char * key, uint32_t value) {
    put_text(w, key);
    put(w, GGUF_U32, 4);
    put(w, value, 4);
}

static void put_header(struct writer * w) {
    memset(w, 0, sizeof *w);
    memcpy(w->bytes, "GGUF", 4);
    w->used = 4;
    put(w, 3, 4);
    put(w, N_WEIGHTS, 8);
    put(w, 5, 8);
    put_text(w, "general.architecture");
    put(w, GGUF_STRING, 4);
    put_text(w, "llama");
    put_number(w, "llama.block_count", TOY_LAYERS);
    put_number(w, "llama.embedding_length", TOY_EMBD);
    put_number(w, "llama.expert_count", TOY_EXPERTS);
    put_number(w, "llama.expert_used_count", TOY_USED);
    uint64_t offset = 0;
    for (int i = 0; i < N_WEIGHTS; i++) {
        char name[64];
        const struct shape * s = shape_of(i, name, sizeof name);
        put_text(w, name);
        put(w, 3, 4);
        for (int d = 0; d < 3; d++) { put(w, (uint64_t) s->ne[d], 8); }
        put(w, GGML_TYPE_F32, 4);
        put(w, offset, 8);
        offset += bytes_of(s);
    }
    w->used = (w->used + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

int toy_write_model(const char * path, int seed) {
    struct writer w;
    put_header(&w);
    FILE * file = fopen(path, "wbe");
    if (!file) { return -1; }
    size_t written = fwrite(w.bytes, w.used, 1, file);
    for (int i = 0; i < N_WEIGHTS; i++) {
        char name[64];
        const size_t count = bytes_of(shape_of(i, name, sizeof name)) / sizeof(float);
        uint32_t state = 12345u + (uint32_t) i + 1000u * (uint32_t) seed;
        for (size_t k = 0; k < count; k++) {
            state = state * 1664525u + 1013904223u;
            const float value = (float) (state >> 8) / (float) (1 << 24) - 0.5f;
            written += fwrite(&value, sizeof value, 1, file);
        }
    }
    return fclose(file) == 0 && written > 1 ? 0 : -1;
}

/* The file, or a copy of it, as in a host that repacks its weights and keeps the mapping. */
static char * weights_of(const struct toy_model * m) {
    if (!getenv("TOY_COPIED")) { return m->map; }
    char * copy = malloc(m->size); /* kept until the end */
    if (!copy) { abort(); }
    return memcpy(copy, m->map, m->size);
}

/* Makes the tensors at their places in the file. */
static void place(struct toy_model * m, size_t header) {
    struct ggml_init_params params = { ggml_tensor_overhead() * (N_WEIGHTS + 1), NULL, true };
    params.mem_buffer = m->memory = toy_alloc(params.mem_size);
    char * weights = weights_of(m);
    char * at = weights + header;
    m->context = ggml_init(params);
    m->buffer = ggml_backend_cpu_buffer_from_ptr(weights, m->size);
    m->buffer->usage = GGML_USAGE_WEIGHTS;
    for (int i = 0; i < N_WEIGHTS; i++) {
        char name[64];
        const struct shape * s = shape_of(i, name, sizeof name);
        struct ggml_tensor * t = ggml_new_tensor_4d(m->context, GGML_TYPE_F32, s->ne[0], s->ne[1], s->ne[2], 1);
        ggml_set_name(t, name);
        ggml_backend_tensor_alloc(m->buffer, t, at);
        at += bytes_of(s);
        if (i < TOY_MODEL_WEIGHTS) {
            m->weight[i] = t;
        } else {
            m->layer[(i - TOY_MODEL_WEIGHTS) / TOY_LAYER_WEIGHTS][(i - TOY_MODEL_WEIGHTS) % TOY_LAYER_WEIGHTS] = t;
        }
    }
}

int toy_load(struct toy_model * m, const char * path) {
    struct writer w;
    put_header(&w);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) { return -1; }
    m->size = (size_t) lseek(fd, 0, SEEK_END);
    m->map = mmap(reuse.window, m->size, PROT_READ, MAP_SHARED | MAP_POPULATE | (reuse.window ? MAP_FIXED : 0), fd, 0);
    close(fd);
    if (m->map == MAP_FAILED) { return -1; }
    place(m, w.used);
    return 0;
}

void toy_unload(struct toy_model * m) {
    ggml_backend_buffer_free(m->buffer);
    ggml_free(m->context);
    toy_free(m->memory);
    if (!reuse.window) {
        munmap(m->map, m->size);
    } else if (mmap(m->map, m->size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED) {
        abort(); /* or something else could take the address */
    }
}
