/* SPDX-License-Identifier: MIT
 *
 * Builds small GGUF files in memory, well-formed or not, and opens them through a memfd: nothing reaches the disk.
 */
#ifndef TEST_GGUF_BUILDER_H
#define TEST_GGUF_BUILDER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "tat/gguf.h"

struct builder {
    unsigned char * bytes;
    size_t size;
    size_t capacity;
    bool big_endian;
};

static inline void put_bytes(struct builder * b, const void * bytes, size_t count) {
    if (b->size + count > b->capacity) {
        b->capacity = 2 * (b->size + count);
        b->bytes = realloc(b->bytes, b->capacity);
        assert_non_null(b->bytes);
    }
    if (bytes) {
        memcpy(b->bytes + b->size, bytes, count);
    } else {
        memset(b->bytes + b->size, 0, count);
    }
    b->size += count;
}

static inline void store(struct builder * b, size_t at, uint64_t value, unsigned width) {
    for (unsigned i = 0; i < width; i++) {
        b->bytes[at + i] = (unsigned char) (value >> 8 * (b->big_endian ? width - 1 - i : i));
    }
}

static inline void put(struct builder * b, uint64_t value, unsigned width) {
    put_bytes(b, NULL, width);
    store(b, b->size - width, value, width);
}

static inline void put_string(struct builder * b, const char * text) {
    put(b, strlen(text), 8);
    put_bytes(b, text, strlen(text));
}

static inline void put_header(struct builder * b, uint32_t version, uint64_t n_tensors, uint64_t n_kv) {
    put_bytes(b, "GGUF", 4);
    put(b, version, 4);
    put(b, n_tensors, 8);
    put(b, n_kv, 8);
}

static inline void put_key(struct builder * b, const char * key, uint32_t type) {
    put_string(b, key);
    put(b, type, 4);
}

static inline void put_kv_u32(struct builder * b, const char * key, uint32_t value) {
    put_key(b, key, TAT_GGUF_UINT32);
    put(b, value, 4);
}

static inline void put_kv_string(struct builder * b, const char * key, const char * value) {
    put_key(b, key, TAT_GGUF_STRING);
    put_string(b, value);
}

static inline void put_kv_array(struct builder * b, const char * key, uint32_t element, uint64_t n) {
    put_key(b, key, TAT_GGUF_ARRAY);
    put(b, element, 4);
    put(b, n, 8);
}

static inline void put_tensor(struct builder * b, const char * name, uint32_t n_dims, const uint64_t * ne,
                              uint32_t type, uint64_t offset) {
    put_string(b, name);
    put(b, n_dims, 4);
    for (uint32_t i = 0; i < n_dims; i++) { put(b, ne[i], 8); }
    put(b, type, 4);
    put(b, offset, 8);
}

static inline void put_padding(struct builder * b, size_t alignment) {
    while (b->size % alignment) { put(b, 0, 1); }
}

static inline void builder_free(struct builder * b) {
    free(b->bytes);
    *b = (struct builder){ 0 };
}

/* A memfd with these bytes; its path goes to `path`. */
static inline int builder_file(const void * bytes, size_t size, char path[64]) {
    const int fd = memfd_create("gguf", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, size), size);
    snprintf(path, 64, "/proc/self/fd/%d", fd);
    return fd;
}

static inline struct tat_gguf * builder_open(const struct builder * b, unsigned flags, struct tat_error * error) {
    char path[64];
    const int fd = builder_file(b->bytes, b->size, path);
    struct tat_gguf * gguf = tat_gguf_open(path, flags, error);
    close(fd);
    return gguf;
}

/* Opens it, and expects success. */
static inline struct tat_gguf * builder_open_good(const struct builder * b, unsigned flags) {
    struct tat_error error = { 0 };
    struct tat_gguf * gguf = builder_open(b, flags, &error);
    if (!gguf) { fail_msg("refused: %s", error.message); }
    return gguf;
}

/* The places of the sample's fields, to be corrupted one by one. */
enum mark {
    M_MAGIC,
    M_VERSION,
    M_N_TENSORS,
    M_N_KV,
    M_KEY_LENGTH,
    M_KEY,
    M_KEY_TYPE,
    M_STRING_LENGTH,
    M_ALIGNMENT_TYPE,
    M_ALIGNMENT,
    M_SECOND_KEY, /* as long as M_KEY */
    M_LAYERS,
    M_ARRAY_TYPE,
    M_ARRAY_LENGTH,
    M_STRINGS_TYPE,
    M_STRINGS_LENGTH,
    M_STRINGS_FIRST, /* length of the first string */
    M_NAME_LENGTH,   /* of the first tensor, f32, 64 x 3 */
    M_NAME,
    M_N_DIMS,
    M_NE0,
    M_NE1,
    M_TYPE,
    M_OFFSET,
    M_SECOND_NAME, /* as long as M_NAME; of the second tensor, q8_0, 64 x 8 */
    M_SECOND_NE0,
    M_SECOND_TYPE,
    M_SECOND_OFFSET,
    M_THIRD_NE0, /* q4_0, 64 x 2 x 4 x 1: four experts */
    M_THIRD_NE1,
    M_THIRD_NE2,
    M_THIRD_NE3,
    M_THIRD_OFFSET,
    M_HEADER_END,
    M_DATA,
    M_SECOND_DATA,
    M_THIRD_DATA,
    M_END,
    M_COUNT
};

struct sample {
    struct builder builder;
    size_t mark[M_COUNT];
};

static inline void sample_metadata(struct sample * s) {
    struct builder * b = &s->builder;
    s->mark[M_KEY_LENGTH] = b->size;
    s->mark[M_KEY] = b->size + 8;
    s->mark[M_KEY_TYPE] = b->size + 8 + strlen("general.architecture");
    s->mark[M_STRING_LENGTH] = s->mark[M_KEY_TYPE] + 4;
    put_kv_string(b, "general.architecture", "llama");
    s->mark[M_SECOND_KEY] = b->size + 8;
    put_kv_string(b, "general.architectura", "twenty letters, too");
    put_kv_u32(b, "general.alignment", 32);
    s->mark[M_ALIGNMENT] = b->size - 4;
    s->mark[M_ALIGNMENT_TYPE] = b->size - 8;
    put_kv_u32(b, "llama.block_count", 2);
    s->mark[M_LAYERS] = b->size - 4;
    put_kv_u32(b, "llama.embedding_length", 64);
    put_kv_u32(b, "llama.attention.head_count", 4);
    put_kv_array(b, "llama.attention.head_count_kv", TAT_GGUF_INT32, 2);
    s->mark[M_ARRAY_TYPE] = b->size - 12;
    s->mark[M_ARRAY_LENGTH] = b->size - 8;
    put(b, 2, 4);
    put(b, 1, 4);
    put_kv_array(b, "tokenizer.ggml.tokens", TAT_GGUF_STRING, 3);
    s->mark[M_STRINGS_TYPE] = b->size - 12;
    s->mark[M_STRINGS_LENGTH] = b->size - 8;
    s->mark[M_STRINGS_FIRST] = b->size;
    put_string(b, "a");
    put_string(b, "bc");
    put_string(b, "");
    put_key(b, "int8", TAT_GGUF_INT8);
    put(b, 0xff, 1);
    put_key(b, "float32", TAT_GGUF_FLOAT32);
    put(b, 0x40200000, 4); /* 2.5 */
    put_key(b, "bool", TAT_GGUF_BOOL);
    put(b, 2, 1);
    put_key(b, "uint64", TAT_GGUF_UINT64);
    put(b, 1ull << 40, 8);
}
#define SAMPLE_N_KV 12

static inline void sample_tensors(struct sample * s) {
    struct builder * b = &s->builder;
    s->mark[M_NAME_LENGTH] = b->size;
    s->mark[M_NAME] = b->size + 8;
    s->mark[M_N_DIMS] = s->mark[M_NAME] + strlen("token_embd.weight");
    s->mark[M_NE0] = s->mark[M_N_DIMS] + 4;
    s->mark[M_NE1] = s->mark[M_NE0] + 8;
    s->mark[M_TYPE] = s->mark[M_NE1] + 8;
    s->mark[M_OFFSET] = s->mark[M_TYPE] + 4;
    put_tensor(b, "token_embd.weight", 2, (uint64_t[]){ 64, 3 }, 0, 0); /* 768 bytes */
    s->mark[M_SECOND_NAME] = b->size + 8;
    put_tensor(b, "blk.0.attn_q.bias", 2, (uint64_t[]){ 64, 8 }, 8, 768); /* 544 bytes */
    s->mark[M_SECOND_OFFSET] = b->size - 8;
    s->mark[M_SECOND_TYPE] = b->size - 12;
    s->mark[M_SECOND_NE0] = b->size - 28;
    put_tensor(b, "blk.1.ffn_gate_exps.weight", 4, (uint64_t[]){ 64, 2, 4, 1 }, 2, 1312); /* 288 bytes */
    s->mark[M_THIRD_OFFSET] = b->size - 8;
    s->mark[M_THIRD_NE0] = b->size - 44;
    s->mark[M_THIRD_NE1] = b->size - 36;
    s->mark[M_THIRD_NE2] = b->size - 28;
    s->mark[M_THIRD_NE3] = b->size - 20;
    s->mark[M_HEADER_END] = b->size;
    put_padding(b, 32);
    s->mark[M_DATA] = b->size;
    s->mark[M_SECOND_DATA] = b->size + 768;
    s->mark[M_THIRD_DATA] = b->size + 1312;
    put_bytes(b, NULL, 1312 + 288);
    s->mark[M_END] = b->size;
}

static inline void sample_build(struct sample * s, uint32_t version, bool big_endian) {
    *s = (struct sample){ .builder = { .big_endian = big_endian } };
    s->mark[M_VERSION] = 4;
    s->mark[M_N_TENSORS] = 8;
    s->mark[M_N_KV] = 16;
    put_header(&s->builder, version, 3, SAMPLE_N_KV);
    sample_metadata(s);
    sample_tensors(s);
}

#endif
