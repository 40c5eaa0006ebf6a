/* SPDX-License-Identifier: MIT */
#include "agent/registry.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "agent/cold_lock.h"
#include "agent/events.h"
#include "agent/files.h"
#include "agent/lives.h"
#include "agent/sink.h"
#include "agent/table.h"
#include "format/block.h"
#include "format/buffer.h"

enum { NAME_MAX_BYTES = 256 };

struct tensor {
    uint64_t buffer; /* these seven tell tensors apart */
    uint64_t address;
    int64_t ne[4];
    uint32_t name;
    uint32_t occurrence;
    int32_t type;
    uint32_t life; /* the buffer's */

    uint32_t number;
    uint64_t nb[4];
    uint32_t type_name, buffer_name;
    uint32_t shown; /* its name in the file, if ggml has none */
    uint32_t block, block_bytes;
    enum tat_tensor_kind kind;
    enum tat_memory memory;
    struct file_place place;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int cancelling; /* the cancel state of the thread that holds the lock */
static struct {
    char ** strings;
    uint32_t n_strings, strings_capacity, strings_written;
    struct table string_table;
    struct tensor * tensors; /* those alive, in the order of their numbers; the unwritten ones are the last */
    uint32_t n_tensors, tensors_capacity, tensors_unwritten;
    uint32_t next_tensor; /* how many tensors there ever were */
    struct table tensor_table;
    uint32_t n_contexts; /* how many there ever were */
    uint64_t epoch;      /* the last in which ends of lives were looked at */
    bool doubt;          /* a life may have ended unseen */
} registry;

void registry_lock(void) {
    cancelling = cold_lock(&lock);
}

void registry_unlock(void) {
    cold_unlock(&lock, cancelling);
}

void registry_after_fork(void) {
    pthread_mutex_init(&lock, NULL);
    lives_after_fork();
    memset(&registry, 0, sizeof registry); /* a thread that is gone may have been using it: left, not freed */
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

/* Like ggml_nbytes: from the first byte to the last, even if rows lie apart. */
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

/* A weight is in a buffer marked for weights, or in the mapping of a model file, or, if it is an adapter's, in an
 * unmarked buffer that outlives the graph and that no graph writes to. */
static enum tat_tensor_kind kind_of_leaf(const struct host * host, const struct root * root) {
    const struct ggml_layout * l = &host->layout;
    struct ggml_backend_buffer * buffer = layout_buffer(l, root->tensor);
    const int usage = buffer ? host->ggml.buffer_usage(buffer) : GGML_USAGE_COMPUTE;
    if (usage == GGML_USAGE_WEIGHTS || files_at(layout_data(l, root->tensor)).mapped) { return TAT_TENSOR_WEIGHT; }
    if (strncmp(layout_name(l, root->tensor), "cache_", 6) == 0 || root->is_written) { return TAT_TENSOR_STATE; }
    const bool is_input = usage == GGML_USAGE_COMPUTE || (layout_flags(l, root->tensor) & GGML_FLAG_INPUT);
    return is_input ? TAT_TENSOR_INPUT : TAT_TENSOR_WEIGHT;
}

/* Says what holds the bytes and where they come from. False: no memory for a name. */
static bool classify(const struct host * host, const struct root * root, struct tensor * t) {
    const struct ggml_layout * l = &host->layout;
    const void * data = layout_data(l, root->tensor);
    char direction[32];
    t->kind = root->is_leaf ? kind_of_leaf(host, root) : TAT_TENSOR_ACTIVATION;
    t->memory = t->kind == TAT_TENSOR_STATE ? TAT_MEMORY_KV : TAT_MEMORY_BUFFER;
    if (t->kind != TAT_TENSOR_WEIGHT) { return true; }
    t->place = files_find(data, layout_buffer(l, root->tensor), layout_name(l, root->tensor), t->type, extent(t));
    t->memory = t->place.mapped ? TAT_MEMORY_FILE : TAT_MEMORY_COPY;
    if (t->place.file || !root->direction) { return true; }
    t->place = files_find_direction(root->direction, t->type, extent(t), direction, sizeof direction);
    if (*direction) { t->shown = registry_string(direction); }
    return t->shown != TABLE_NONE;
}

uint32_t registry_life(const struct host * host, const struct ggml_tensor * leaf) {
    struct ggml_backend_buffer * buffer = layout_buffer(&host->layout, leaf);
    if (!buffer || layout_flags(&host->layout, leaf) & GGML_FLAG_INPUT) { return 0; }
    if (host->ggml.buffer_usage(buffer) == GGML_USAGE_COMPUTE) { return 0; }
    return life_of_buffer(buffer, host->ggml.buffer_get_size ? host->ggml.buffer_get_size(buffer) : 0);
}

/* Activations move within their buffer from graph to graph, and their shape changes with the ubatch. Weights and state
 * do neither. */
static bool same(const struct tensor * a, const struct tensor * b, bool fixed) {
    return a->buffer == b->buffer && a->name == b->name && a->occurrence == b->occurrence && a->type == b->type &&
           a->life == b->life && (!fixed || (a->address == b->address && memcmp(a->ne, b->ne, sizeof a->ne) == 0));
}

static uint64_t tensor_hash(const struct tensor * t) {
    return table_hash(t->buffer) ^ table_hash(t->name | (uint64_t) t->occurrence << 32);
}

/* Fills in what a new number stands for. False: no memory for a name. */
static bool describe(const struct host * host, const struct root * root, struct tensor * t) {
    struct ggml_backend_buffer * buffer = layout_buffer(&host->layout, root->tensor);
    for (int i = 0; i < 4; i++) { t->nb[i] = layout_nb(&host->layout, root->tensor)[i]; }
    t->type_name = registry_string(host->ggml.type_name(t->type));
    t->buffer_name = registry_string(buffer ? host->ggml.buffer_name(buffer) : "");
    t->block = (uint32_t) host->ggml.blck_size(t->type);
    t->block_bytes = (uint32_t) host->ggml.type_size(t->type);
    return t->type_name != TABLE_NONE && t->buffer_name != TABLE_NONE && classify(host, root, t);
}

uint32_t registry_tensor(const struct host * host, const struct root * root) {
    const struct ggml_layout * l = &host->layout;
    const struct ggml_tensor * tensor = root->tensor;
    struct tensor t = { .occurrence = root->occurrence,
                        .type = layout_type(l, tensor),
                        .number = registry.next_tensor };
    t.buffer = (uint64_t) (uintptr_t) layout_buffer(l, tensor);
    t.address = (uint64_t) (uintptr_t) layout_data(l, tensor);
    t.name = t.shown = registry_string(layout_name(l, tensor));
    t.life = root->is_leaf ? registry_life(host, tensor) : 0;
    if (t.name == TABLE_NONE || t.life == TABLE_NONE) { return TABLE_NONE; }
    memcpy(t.ne, layout_ne(l, tensor), sizeof t.ne);
    const bool fixed = root->is_leaf && !(layout_flags(l, tensor) & GGML_FLAG_INPUT);
    const uint64_t hash = tensor_hash(&t);
    uint32_t steps = 0;
    for (uint32_t i; (i = table_next(&registry.tensor_table, hash, &steps)) != TABLE_NONE;) {
        if (same(&registry.tensors[i], &t, fixed)) { return registry.tensors[i].number; }
    }
    if (!describe(host, root, &t) ||
        !grow(&registry.tensors, registry.n_tensors, &registry.tensors_capacity, sizeof t) ||
        !table_add(&registry.tensor_table, hash, registry.n_tensors)) {
        return TABLE_NONE;
    }
    registry.tensors[registry.n_tensors++] = t;
    registry.tensors_unwritten++;
    return registry.next_tensor++;
}

uint32_t registry_context(uint32_t life, const void * key, bool is_buffer) {
    const uint32_t known = life_context(life);
    if (known) { return known; }
    life_set_context(life, ++registry.n_contexts);
    event_context(registry.n_contexts, (uint64_t) (uintptr_t) key, is_buffer);
    return registry.n_contexts;
}

/* ---- ends ---- */

void registry_buffer_freed(const void * buffer, bool with_context) {
    if (!lives_any()) { return; }
    registry_lock();
    lives_end_buffer(buffer);
    if (with_context) { lives_end_results(buffer); }
    registry_unlock();
}

void registry_doubt(void) {
    if (!lives_any()) { return; }
    registry_lock();
    registry.doubt = true;
    lives_doubt();
    registry_unlock();
}

/* If another file is where a weight was, its buffer was freed unseen. */
static void look_at_files(void) {
    files_refresh();
    for (uint32_t i = 0; i < registry.n_tensors; i++) {
        const struct tensor * t = &registry.tensors[i];
        if (!t->life || !t->place.mapped) { continue; }
        const struct file_place now = files_at((const void *) (uintptr_t) t->address);
        if (!now.mapped || now.file != t->place.file || now.offset != t->place.offset) { lives_end(t->life); }
    }
}

/* Their numbers are not used again. */
static void forget_tensors(void) {
    const uint32_t written = registry.n_tensors - registry.tensors_unwritten;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < registry.n_tensors; i++) {
        if (i < written && !life_goes_on(registry.tensors[i].life)) { continue; }
        registry.tensors[kept++] = registry.tensors[i];
    }
    if (kept == registry.n_tensors) { return; }
    registry.n_tensors = kept;
    table_free(&registry.tensor_table);
    for (uint32_t i = 0; i < kept; i++) { /* without memory, tensors are met again as if new */
        if (!table_add(&registry.tensor_table, tensor_hash(&registry.tensors[i]), i)) { return; }
    }
}

void registry_refresh(void) {
    if (registry.epoch == lives_epoch()) { return; }
    if (registry.doubt) { look_at_files(); }
    registry.doubt = false;
    forget_tensors();
    registry.epoch = lives_epoch();
}

/* ---- writing ---- */

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
    tat_put_varint(out, t->shown);
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
    const uint32_t count = registry.tensors_unwritten;
    const size_t size = (size_t) (2 + count * FIELDS) * TAT_VARINT_MAX;
    uint8_t * payload = malloc(size);
    if (!payload) { return false; }
    struct tat_out out = { .at = payload, .end = payload + size };
    tat_put_varint(&out, registry.next_tensor - count);
    tat_put_varint(&out, count);
    for (uint32_t i = registry.n_tensors - count; i < registry.n_tensors; i++) {
        put_tensor(&out, &registry.tensors[i]);
    }
    const bool written =
        !out.overflow && sink_write(&trace_sink, TAT_BLOCK_TENSOR, payload, (size_t) (out.at - payload));
    if (written) { registry.tensors_unwritten = 0; }
    free(payload);
    return written;
}

bool registry_flush(void) {
    if (registry.strings_written < registry.n_strings && !flush_strings()) { return false; }
    return registry.tensors_unwritten == 0 || flush_tensors();
}
