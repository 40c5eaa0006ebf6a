/* SPDX-License-Identifier: MIT
 *
 * Tensors, views and buffers of the fake ggml.
 */
#include "fakeggml.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct ggml_context {
    size_t size, used;
    char * memory;
    bool owned, no_alloc;
};

enum { ALIGN = 16 };

struct ggml_context * ggml_init(struct ggml_init_params params) {
    struct ggml_context * context = calloc(1, sizeof *context);
    if (!context) { return NULL; }
    context->owned = params.mem_buffer == NULL;
    context->memory = params.mem_buffer ? params.mem_buffer : aligned_alloc(ALIGN, params.mem_size);
    context->size = params.mem_size;
    context->no_alloc = params.no_alloc;
    if (context->memory) { return context; }
    free(context);
    return NULL;
}

void ggml_free(struct ggml_context * context) {
    if (context->owned) { free(context->memory); }
    free(context);
}

void ggml_reset(struct ggml_context * context) {
    context->used = 0;
}

size_t ggml_tensor_overhead(void) {
    return (sizeof(struct ggml_tensor) + ALIGN - 1) / ALIGN * ALIGN;
}

#if FAKEGGML_LAYOUT != 2
const char * ggml_version(void) {
    return "fake";
}
#endif

static const struct {
    const char * name;
    size_t bytes;
} types[] = { [GGML_TYPE_F32] = { "f32", 4 },
              [GGML_TYPE_F16] = { "f16", 2 },
              [GGML_TYPE_I32] = { "i32", 4 },
              [GGML_TYPE_I64] = { "i64", 8 },
              [GGML_TYPE_BF16] = { "bf16", 2 } };

static void * take(struct ggml_context * context, size_t bytes) {
    bytes = (bytes + ALIGN - 1) / ALIGN * ALIGN;
    if (context->size - context->used < bytes) { return NULL; }
    void * memory = context->memory + context->used;
    context->used += bytes;
    return memset(memory, 0, bytes);
}

struct ggml_tensor * ggml_new_tensor_4d(struct ggml_context * context, int type, int64_t n0, int64_t n1, int64_t n2,
                                        int64_t n3) {
    struct ggml_tensor * t = take(context, ggml_tensor_overhead());
    if (!t) { return NULL; }
    const int64_t ne[4] = { n0, n1, n2, n3 };
    t->type = (enum ggml_type) type;
    memcpy(t->ne, ne, sizeof ne);
    t->nb[0] = types[type].bytes;
    for (int i = 1; i < 4; i++) { t->nb[i] = t->nb[i - 1] * (size_t) ne[i - 1]; }
    if (!context->no_alloc && !(t->data = take(context, t->nb[3] * (size_t) n3))) { return NULL; }
    return t;
}

struct ggml_tensor * ggml_view(struct ggml_context * context, enum ggml_op op, struct ggml_tensor * a,
                               const int64_t * ne, const size_t * nb, size_t offset) {
    struct ggml_tensor * t = ggml_new_tensor_4d(context, a->type, ne[0], ne[1], ne[2], ne[3]);
    if (!t) { return NULL; }
    if (nb) { memcpy(t->nb, nb, sizeof t->nb); }
    t->op = op;
    t->src[0] = a;
    t->view_src = a->view_src ? a->view_src : a;
    t->view_offs = a->view_offs + offset;
    t->buffer = t->view_src->buffer;
    t->data = t->view_src->data ? (char *) t->view_src->data + t->view_offs : NULL;
    memcpy(t->name, a->name, sizeof t->name);
    return t;
}

struct ggml_tensor * ggml_view_1d(struct ggml_context * context, struct ggml_tensor * a, int64_t n, size_t offset) {
    const int64_t ne[4] = { n, 1, 1, 1 };
    return ggml_view(context, GGML_OP_VIEW, a, ne, NULL, offset);
}

static struct ggml_tensor * binary(struct ggml_context * context, enum ggml_op op, struct ggml_tensor * a,
                                   struct ggml_tensor * b) {
    struct ggml_tensor * t = ggml_new_tensor_4d(context, a->type, a->ne[0], a->ne[1], a->ne[2], a->ne[3]);
    if (!t) { return NULL; }
    t->op = op;
    t->src[0] = a;
    t->src[1] = b;
    return t;
}

struct ggml_tensor * ggml_add(struct ggml_context * context, struct ggml_tensor * a, struct ggml_tensor * b) {
    return binary(context, GGML_OP_ADD, a, b);
}

struct ggml_tensor * ggml_mul(struct ggml_context * context, struct ggml_tensor * a, struct ggml_tensor * b) {
    return binary(context, GGML_OP_MUL, a, b);
}

struct ggml_tensor * ggml_scale(struct ggml_context * context, struct ggml_tensor * a, float factor) {
    struct ggml_tensor * t = binary(context, GGML_OP_SCALE, a, NULL);
    if (t) { memcpy(t->op_params, &factor, sizeof factor); }
    return t;
}

struct ggml_tensor * ggml_rms_norm(struct ggml_context * context, struct ggml_tensor * a, float epsilon) {
    (void) epsilon;
    return binary(context, GGML_OP_RMS_NORM, a, NULL);
}

void * ggml_get_data(const struct ggml_tensor * t) {
    return t->data;
}

const char * ggml_get_name(const struct ggml_tensor * t) {
    return t->name;
}

void ggml_set_name(struct ggml_tensor * t, const char * name) {
    const size_t length = strnlen(name, sizeof t->name - 1);
    memset(t->name, 0, sizeof t->name);
    memcpy(t->name, name, length);
}

void ggml_set_input(struct ggml_tensor * t) {
    t->flags |= GGML_FLAG_INPUT;
}

void ggml_set_output(struct ggml_tensor * t) {
    t->flags |= GGML_FLAG_OUTPUT;
}

const char * ggml_op_desc(const struct ggml_tensor * t) {
#define NAME(op) [GGML_OP_##op] = #op
    static const char * const names[GGML_OP_COUNT] = {
        NAME(NONE),           NAME(ADD),      NAME(MUL),      NAME(SCALE),    NAME(RMS_NORM), NAME(MUL_MAT),
        NAME(MUL_MAT_ID),     NAME(GET_ROWS), NAME(SET_ROWS), NAME(SOFT_MAX), NAME(ROPE),     NAME(ARGSORT),
        NAME(FLASH_ATTN_EXT), NAME(CONT),     NAME(SILU),     NAME(RESHAPE),  NAME(VIEW),     NAME(PERMUTE),
        NAME(TRANSPOSE)
    };
#undef NAME
    return names[t->op];
}

const char * ggml_type_name(int type) {
    return types[type].name;
}

int64_t ggml_blck_size(int type) {
    (void) type;
    return 1;
}

size_t ggml_type_size(int type) {
    return types[type].bytes;
}

size_t ggml_nbytes(const struct ggml_tensor * t) {
    size_t bytes = types[t->type].bytes;
    for (int i = 0; i < 4; i++) { bytes += (size_t) (t->ne[i] - 1) * t->nb[i]; }
    return bytes;
}

static pthread_mutex_t freed_lock = PTHREAD_MUTEX_INITIALIZER;
static struct ggml_backend_buffer * freed;

struct ggml_backend_buffer * ggml_backend_cpu_buffer_from_ptr(void * memory, size_t size) {
    pthread_mutex_lock(&freed_lock);
    struct ggml_backend_buffer * buffer = freed;
    if (buffer) { freed = buffer->next; }
    pthread_mutex_unlock(&freed_lock);
    if (!buffer) { buffer = malloc(sizeof *buffer); }
    if (buffer) { *buffer = (struct ggml_backend_buffer){ .base = memory, .size = size, .name = "CPU_Mapped" }; }
    return buffer;
}

void ggml_backend_tensor_alloc(struct ggml_backend_buffer * buffer, struct ggml_tensor * t, void * at) {
    t->buffer = buffer;
    t->data = at;
}

void ggml_backend_buffer_free(struct ggml_backend_buffer * buffer) {
    pthread_mutex_lock(&freed_lock);
    buffer->next = freed;
    freed = buffer;
    pthread_mutex_unlock(&freed_lock);
}

size_t ggml_backend_buffer_get_size(struct ggml_backend_buffer * buffer) {
    return buffer->size;
}

const char * ggml_backend_buffer_name(struct ggml_backend_buffer * buffer) {
    return buffer->name;
}

int ggml_backend_buffer_get_usage(struct ggml_backend_buffer * buffer) {
    return buffer->usage;
}

struct ggml_cgraph * ggml_new_graph_custom(struct ggml_context * context, size_t size, bool grads) {
    (void) grads;
    struct ggml_cgraph * graph = take(context, sizeof *graph);
    if (graph) {
        *graph = (struct ggml_cgraph){ .capacity = (int) size, .nodes = take(context, size * sizeof(void *)) };
    }
    return graph && graph->nodes ? graph : NULL;
}

static bool is_in(const struct ggml_cgraph * graph, const struct ggml_tensor * t) {
    for (int i = 0; i < graph->n_nodes; i++) {
        if (graph->nodes[i] == t) { return true; }
    }
    return false;
}

void ggml_build_forward_expand(struct ggml_cgraph * graph, struct ggml_tensor * t) {
    if (t->op == GGML_OP_NONE || is_in(graph, t)) { return; }
    for (int i = 0; i < GGML_MAX_SRC; i++) {
        if (t->src[i]) { ggml_build_forward_expand(graph, t->src[i]); }
    }
    if (graph->n_nodes == graph->capacity) { abort(); }
    t->flags |= GGML_FLAG_COMPUTE;
    graph->nodes[graph->n_nodes++] = t;
}

int ggml_graph_n_nodes(struct ggml_cgraph * graph) {
    return graph->n_nodes;
}

struct ggml_tensor ** ggml_graph_nodes(struct ggml_cgraph * graph) {
    return graph->nodes;
}
