/* SPDX-License-Identifier: MIT */
#include "agent/registry.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "agent/cold_lock.h"
#include "agent/events.h"
#include "agent/files.h"
#include "agent/sink.h"
#include "agent/table.h"
#include "format/block.h"
#include "format/buffer.h"

enum { NAME_MAX_BYTES = 256 };

struct tensor {
    uint64_t buffer; /* these five tell tensors apart */
    uint64_t address;
    int64_t ne[4];
    uint32_t name;
    uint32_t occurrence;

    uint64_t nb[4];
    uint32_t type_name, buffer_name;
    int32_t type;
    uint32_t block, block_bytes;
    enum tat_tensor_kind kind;
    enum tat_memory memory;
    struct file_place place;
};

struct context {
    const void * key;
    bool is_buffer;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int cancelling; /* of the thread that has it */
static struct {
    char ** strings;
    uint32_t n_strings, strings_capacity, strings_written;
    struct table string_table;
    struct tensor * tensors;
    uint32_t n_tensors, tensors_capacity, tensors_written;
    struct table tensor_table;
    struct context * contexts;
    uint32_t n_contexts, contexts_capacity;
} registry;

void registry_lock(void) {
    cancelling = cold_lock(&lock);
}

void registry_unlock(void) {
    cold_unlock(&lock, cancelling);
}

void registry_after_fork(void) {
    pthread_mutex_init(&lock, NULL);
    memset(&registry, 0, sizeof registry); /* may have been in use by a thread that is gone: left, not freed */
}

/* Room for one more element of `size` bytes. */
static bool grow(void * array, uint32_t count, uint32_t * capacity, size_t size) {
    if (count < *capacity) { return true; }
    const uint32_t more = *capacity ? *capacity * 2 : 256;
    void * old;
    memcpy(&old, array, sizeof old);
    void * bigger = realloc(old, more * size);
    if (!bigger) { return false; }
    memcpy(array, &bigger, sizeof bigger);
    *capacity = more;
    return true;
}

uint32_t registry_string(const char * string) {
    const size_t length = strnlen(string, NAME_MAX_BYTES);
    const uint64_t hash = tat_checksum(string, length, 0);
    uint32_t steps = 0;
    for (uint32_t i; (i = table_next(&registry.string_table, hash, &steps)) != TABLE_NONE;) {
        if (strlen(registry.strings[i]) == length && memcmp(registry.strings[i], string, length) == 0) { return i; }
    }
    char * copy = strndup(string, length);
    if (!copy || !grow(&registry.strings, registry.n_strings, &registry.strings_capacity, sizeof(char *)) ||
        !table_add(&registry.string_table, hash, registry.n_strings)) {
        free(copy);
        return TABLE_NONE;
    }
    registry.strings[registry.n_strings] = copy;
    return registry.n_strings++;
}

/* As ggml_nbytes: from the first to the last byte, the rows may lie apart. */
static uint64_t extent(const struct tensor * t) {
    uint64_t bytes = 0;
    for (int i = 0; i < 4; i++) {
        if (t->ne[i] <= 0) { return 0; }
    }
    bytes = t->block == 1 ? t->block_bytes + (uint64_t) (t->ne[0] - 1) * t->nb[0]
                          : (uint64_t) t->ne[0] * t->nb[0] / t->block;
    for (int i = 1; i < 4; i++) { bytes += (uint64_t) (t->ne[i] - 1) * t->nb[i]; }
    return bytes;
}

/* What holds the bytes. Buffers marked COMPUTE hold results and inputs; those with no mark that outlive a graph hold
 * state. */
static void classify(const struct host * host, const struct ggml_tensor * root, bool is_leaf, struct tensor * t) {
    struct ggml_backend_buffer * buffer = layout_buffer(&host->layout, root);
    const char * name = layout_name(&host->layout, root);
    t->memory = TAT_MEMORY_BUFFER;
    if (!is_leaf) {
        t->kind = TAT_TENSOR_ACTIVATION;
    } else if (registry_is_weight(host, root)) {
        t->kind = TAT_TENSOR_WEIGHT;
        t->place = files_find(layout_data(&host->layout, root), name, t->type, extent(t));
        t->memory = t->place.mapped ? TAT_MEMORY_FILE : TAT_MEMORY_COPY;
    } else if (strncmp(name, "cache_", 6) == 0) {
        t->kind = TAT_TENSOR_STATE;
        t->memory = TAT_MEMORY_KV;
    } else if (buffer && host->ggml.buffer_usage(buffer) == GGML_USAGE_COMPUTE) {
        t->kind = TAT_TENSOR_INPUT;
    } else if (layout_flags(&host->layout, root) & GGML_FLAG_INPUT) {
        t->kind = TAT_TENSOR_INPUT;
    } else {
        t->kind = TAT_TENSOR_STATE;
    }
}

bool registry_is_weight(const struct host * host, const struct ggml_tensor * leaf) {
    struct ggml_backend_buffer * buffer = layout_buffer(&host->layout, leaf);
    if (buffer && host->ggml.buffer_usage(buffer) == GGML_USAGE_WEIGHTS) { return true; }
    return files_find(layout_data(&host->layout, leaf), "", -1, 0).mapped;
}

/* Activations move within their buffer from graph to graph and change shape with the ubatch; weights and state do
 * not. */
static bool same(const struct tensor * a, const struct tensor * b, bool fixed) {
    return a->buffer == b->buffer && a->name == b->name && a->occurrence == b->occurrence &&
           (!fixed || (a->address == b->address && memcmp(a->ne, b->ne, sizeof a->ne) == 0));
}

uint32_t registry_tensor(const struct host * host, const struct ggml_tensor * root, bool is_leaf, uint32_t occurrence) {
    const struct ggml_layout * l = &host->layout;
    struct ggml_backend_buffer * buffer = layout_buffer(l, root);
    struct tensor t = { .occurrence = occurrence };
    t.buffer = (uint64_t) (uintptr_t) buffer;
    t.address = (uint64_t) (uintptr_t) layout_data(l, root);
    t.name = registry_string(layout_name(l, root));
    if (t.name == TABLE_NONE) { return TABLE_NONE; }
    memcpy(t.ne, layout_ne(l, root), sizeof t.ne);
    const bool fixed = is_leaf && !(layout_flags(l, root) & GGML_FLAG_INPUT);
    const uint64_t hash = table_hash(t.buffer) ^ table_hash(t.name | (uint64_t) occurrence << 32);
    uint32_t steps = 0;
    for (uint32_t i; (i = table_next(&registry.tensor_table, hash, &steps)) != TABLE_NONE;) {
        if (same(&registry.tensors[i], &t, fixed)) { return i; }
    }
    for (int i = 0; i < 4; i++) { t.nb[i] = layout_nb(l, root)[i]; }
    t.type = layout_type(l, root);
    t.type_name = registry_string(host->ggml.type_name(t.type));
    t.buffer_name = registry_string(buffer ? host->ggml.buffer_name(buffer) : "");
    t.block = (uint32_t) host->ggml.blck_size(t.type);
    t.block_bytes = (uint32_t) host->ggml.type_size(t.type);
    classify(host, root, is_leaf, &t);
    if (t.type_name == TABLE_NONE || t.buffer_name == TABLE_NONE ||
        !grow(&registry.tensors, registry.n_tensors, &registry.tensors_capacity, sizeof t) ||
        !table_add(&registry.tensor_table, hash, registry.n_tensors)) {
        return TABLE_NONE;
    }
    registry.tensors[registry.n_tensors] = t;
    return registry.n_tensors++;
}

uint32_t registry_context(const void * key, bool is_buffer) {
    for (uint32_t i = 0; i < registry.n_contexts; i++) {
        if (registry.contexts[i].key == key) { return i + 1; }
    }
    if (!grow(&registry.contexts, registry.n_contexts, &registry.contexts_capacity, sizeof registry.contexts[0])) {
        return TABLE_NONE;
    }
    registry.contexts[registry.n_contexts++] = (struct context){ key, is_buffer };
    event_context(registry.n_contexts, (uint64_t) (uintptr_t) key, is_buffer);
    return registry.n_contexts;
}

static bool flush_strings(void) {
    size_t size = 2 * TAT_VARINT_MAX;
    for (uint32_t i = registry.strings_written; i < registry.n_strings; i++) {
        size += TAT_VARINT_MAX + strlen(registry.strings[i]);
    }
    uint8_t * payload = malloc(size);
    if (!payload) { return false; }
    struct tat_out out = { .at = payload, .end = payload + size };
    tat_put_varint(&out, registry.strings_written);
    tat_put_varint(&out, registry.n_strings - registry.strings_written);
    for (uint32_t i = registry.strings_written; i < registry.n_strings; i++) {
        tat_put_string(&out, registry.strings[i], strlen(registry.strings[i]));
    }
    const bool written = sink_write(&trace_sink, TAT_BLOCK_STRING, payload, (size_t) (out.at - payload));
    if (written) { registry.strings_written = registry.n_strings; }
    free(payload);
    return written;
}

static void put_tensor(struct tat_out * out, const struct tensor * t) {
    tat_put_varint(out, t->name);
    tat_put_varint(out, t->occurrence);
    tat_put_varint(out, t->kind);
    tat_put_varint(out, t->memory);
    tat_put_varint(out, (uint64_t) t->type);
    tat_put_varint(out, t->type_name);
    tat_put_varint(out, t->block);
    tat_put_varint(out, t->block_bytes);
    for (int i = 0; i < 4; i++) { tat_put_varint(out, (uint64_t) t->ne[i]); }
    for (int i = 0; i < 4; i++) { tat_put_varint(out, t->nb[i]); }
    tat_put_varint(out, extent(t));
    tat_put_varint(out, t->address);
    tat_put_varint(out, t->buffer);
    tat_put_varint(out, t->buffer_name);
    tat_put_varint(out, t->place.file);
    tat_put_varint(out, t->place.offset);
}

static bool flush_tensors(void) {
    enum { FIELDS = 20 };
    const uint32_t count = registry.n_tensors - registry.tensors_written;
    const size_t size = (size_t) (2 + count * FIELDS) * TAT_VARINT_MAX;
    uint8_t * payload = malloc(size);
    if (!payload) { return false; }
    struct tat_out out = { .at = payload, .end = payload + size };
    tat_put_varint(&out, registry.tensors_written);
    tat_put_varint(&out, count);
    for (uint32_t i = 0; i < count; i++) { put_tensor(&out, &registry.tensors[registry.tensors_written + i]); }
    const bool written =
        !out.overflow && sink_write(&trace_sink, TAT_BLOCK_TENSOR, payload, (size_t) (out.at - payload));
    if (written) { registry.tensors_written = registry.n_tensors; }
    free(payload);
    return written;
}

bool registry_flush(void) {
    if (registry.strings_written < registry.n_strings && !flush_strings()) { return false; }
    return registry.tensors_written == registry.n_tensors || flush_tensors();
}
