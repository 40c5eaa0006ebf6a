/* SPDX-License-Identifier: MIT
 *
 * What the agent knows of ggml's structs. The fields of ggml_tensor moved between versions, so their offsets are found
 * at run time: ggml's exported functions build tensors with telling values, and the values are then looked for.
 */
#ifndef TAT_AGENT_GGML_LAYOUT_H
#define TAT_AGENT_GGML_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tat/format.h"

struct ggml_cgraph;
struct ggml_tensor;
struct ggml_context;
struct ggml_backend_buffer;
struct ggml_backend;

/* The plan that ggml_graph_compute takes beside the graph. It begins alike in all versions; plan_probe.c finds what
 * follows n_threads. A plan is changed in place, never copied, because nothing says how long it is. */
struct ggml_cplan;

/* The host's own callback after each node. Its two words lie side by side in every plan. */
struct ggml_abort {
    bool (*callback)(void * data);
    void * data;
};

struct ggml_plan_layout {
    uint16_t abort; /* offset of a struct ggml_abort */
    bool rule_known;
    uint32_t rule; /* set of enum tat_rule: when the callback is called, with nothing turned off */
};

static inline struct ggml_abort * plan_abort(const struct ggml_plan_layout * l, struct ggml_cplan * plan) {
    return (struct ggml_abort *) ((char *) plan + l->abort);
}

static inline int plan_threads(const struct ggml_cplan * plan) {
    enum { OFFSET = 16 }; /* after the size and the address of the work buffer */
    return *(const int *) ((const char *) plan + OFFSET);
}

/* Room for a plan returned by value; the callee writes as much as its plan has. */
struct ggml_plan_room {
    uint64_t word[64];
};

struct ggml_init_params {
    size_t mem_size;
    void * mem_buffer;
    bool no_alloc;
};

/* Passed by value, with zeros at the end for what a version appends. */
struct ggml_init_room {
    struct ggml_init_params params;
    uint64_t more[8];
};

enum { GGML_FLAG_INPUT = 1, GGML_FLAG_OUTPUT = 2, GGML_FLAG_COMPUTE = 16 };
enum { GGML_USAGE_ANY = 0, GGML_USAGE_WEIGHTS = 1, GGML_USAGE_COMPUTE = 2 };

/* Functions of the host's ggml, found through the library that calls ggml_graph_compute. */
struct ggml_functions {
    int (*graph_compute)(struct ggml_cgraph *, struct ggml_cplan *);
    int (*graph_n_nodes)(struct ggml_cgraph *);
    struct ggml_tensor ** (*graph_nodes)(struct ggml_cgraph *);
    const char * (*op_desc)(const struct ggml_tensor *);
    const char * (*type_name)(int type);
    int64_t (*blck_size)(int type);
    size_t (*type_size)(int type);
    struct ggml_context * (*init)(struct ggml_init_room);
    void (*free)(struct ggml_context *);
    size_t (*tensor_overhead)(void);
    struct ggml_tensor * (*new_tensor_4d)(struct ggml_context *, int, int64_t, int64_t, int64_t, int64_t);
    struct ggml_tensor * (*view_1d)(struct ggml_context *, struct ggml_tensor *, int64_t, size_t);
    struct ggml_tensor * (*add)(struct ggml_context *, struct ggml_tensor *, struct ggml_tensor *);
    struct ggml_tensor * (*mul)(struct ggml_context *, struct ggml_tensor *, struct ggml_tensor *);
    struct ggml_tensor * (*scale)(struct ggml_context *, struct ggml_tensor *, float);
    void * (*get_data)(const struct ggml_tensor *);
    const char * (*get_name)(const struct ggml_tensor *);
    void (*set_input)(struct ggml_tensor *);
    void (*set_output)(struct ggml_tensor *);
    struct ggml_backend_buffer * (*buffer_from_ptr)(void *, size_t);
    void (*tensor_alloc)(struct ggml_backend_buffer *, struct ggml_tensor *, void *);
    void (*buffer_free)(struct ggml_backend_buffer *);
    const char * (*buffer_name)(struct ggml_backend_buffer *);
    int (*buffer_usage)(struct ggml_backend_buffer *);
    struct ggml_cgraph * (*new_graph_custom)(struct ggml_context *, size_t, bool);
    struct ggml_tensor * (*rms_norm)(struct ggml_context *, struct ggml_tensor *, float);
    void (*build_forward_expand)(struct ggml_cgraph *, struct ggml_tensor *);
    struct ggml_plan_room (*graph_plan)(const struct ggml_cgraph *, int, void *); /* older ones take two arguments */
    /* NULL in versions without it. */
    size_t (*buffer_get_size)(struct ggml_backend_buffer *);
    const char * (*version)(void);
    struct ggml_backend * (*cpu_init)(void);
    void (*cpu_set_abort)(struct ggml_backend *, bool (*)(void *), void *);
    void * (*plan_create)(struct ggml_backend *, struct ggml_cgraph *);
    void (*plan_free)(struct ggml_backend *, void *);
    void (*backend_free)(struct ggml_backend *);
};

/* Byte offsets in struct ggml_tensor. */
struct ggml_layout {
    uint16_t type, op, op_params, flags, ne, nb, src, n_src, view_src, view_offs, data, name, buffer;
};

/* Finds every offset. Returns NULL, or which one could not be found (a string constant). */
const char * ggml_layout_probe(const struct ggml_functions * ggml, struct ggml_layout * layout);

#define GGML_FIELD(type_, tensor, offset) (*(type_ const *) ((const char *) (tensor) + (offset)))

static inline int32_t layout_op(const struct ggml_layout * l, const struct ggml_tensor * t) {
    return GGML_FIELD(int32_t, t, l->op);
}
static inline int32_t layout_type(const struct ggml_layout * l, const struct ggml_tensor * t) {
    return GGML_FIELD(int32_t, t, l->type);
}
static inline int32_t layout_flags(const struct ggml_layout * l, const struct ggml_tensor * t) {
    return GGML_FIELD(int32_t, t, l->flags);
}
static inline const int64_t * layout_ne(const struct ggml_layout * l, const struct ggml_tensor * t) {
    return &GGML_FIELD(int64_t, t, l->ne);
}
static inline const size_t * layout_nb(const struct ggml_layout * l, const struct ggml_tensor * t) {
    return &GGML_FIELD(size_t, t, l->nb);
}
static inline const int32_t * layout_op_params(const struct ggml_layout * l, const struct ggml_tensor * t) {
    return &GGML_FIELD(int32_t, t, l->op_params);
}
static inline struct ggml_tensor * const * layout_src(const struct ggml_layout * l, const struct ggml_tensor * t) {
    return &GGML_FIELD(struct ggml_tensor *, t, l->src);
}
static inline const struct ggml_tensor * layout_view_src(const struct ggml_layout * l, const struct ggml_tensor * t) {
    return GGML_FIELD(const struct ggml_tensor *, t, l->view_src);
}
static inline const char * layout_data(const struct ggml_layout * l, const struct ggml_tensor * t) {
    return GGML_FIELD(const char *, t, l->data);
}
static inline const char * layout_name(const struct ggml_layout * l, const struct ggml_tensor * t) {
    return (const char *) t + l->name;
}
static inline struct ggml_backend_buffer * layout_buffer(const struct ggml_layout * l, const struct ggml_tensor * t) {
    return GGML_FIELD(struct ggml_backend_buffer *, t, l->buffer);
}

#endif
