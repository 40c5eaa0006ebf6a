/* SPDX-License-Identifier: MIT
 *
 * A ggml as small as it can be and still computes: the functions that the agent resolves, and a CPU loop with
 * ggml-cpu's rules for which node gets a callback. The struct's layout is chosen when it is built, the rules when it
 * runs, so that what the agent finds out can be compared with what is so.
 */
#ifndef FAKEGGML_H
#define FAKEGGML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ggml_type { GGML_TYPE_F32 = 0, GGML_TYPE_F16 = 1, GGML_TYPE_I32 = 26, GGML_TYPE_I64 = 27, GGML_TYPE_BF16 = 30 };

enum ggml_op {
    GGML_OP_NONE = 0,
#if FAKEGGML_LAYOUT == 3 /* operations have other numbers as well */
    GGML_OP_MUL,
    GGML_OP_ADD,
#else
    GGML_OP_ADD,
    GGML_OP_MUL,
#endif
    GGML_OP_SCALE,
    GGML_OP_RMS_NORM,
    GGML_OP_MUL_MAT,
    GGML_OP_MUL_MAT_ID,
    GGML_OP_GET_ROWS,
    GGML_OP_SET_ROWS,
    GGML_OP_SOFT_MAX,
    GGML_OP_ROPE,
    GGML_OP_ARGSORT,
    GGML_OP_FLASH_ATTN_EXT,
    GGML_OP_CONT,
    GGML_OP_SILU,
    GGML_OP_RESHAPE,
    GGML_OP_VIEW,
    GGML_OP_PERMUTE,
    GGML_OP_TRANSPOSE,
    GGML_OP_COUNT
};

enum { GGML_FLAG_INPUT = 1, GGML_FLAG_OUTPUT = 2, GGML_FLAG_COMPUTE = 16 };
enum { GGML_USAGE_ANY = 0, GGML_USAGE_WEIGHTS = 1, GGML_USAGE_COMPUTE = 2 };
enum { GGML_STATUS_SUCCESS = 0, GGML_STATUS_ABORTED = 1 };
enum { GGML_MAX_SRC = 10, GGML_MAX_NAME = 64, GGML_MAX_PARAMS = 16 };

struct ggml_backend_buffer {
    char * base;
    size_t size;
    int usage;
    char name[32];
    struct ggml_backend_buffer * next; /* freed before */
};

#if FAKEGGML_LAYOUT == 1 /* as in 2026 */
struct ggml_tensor {
    enum ggml_type type;
    struct ggml_backend_buffer * buffer;
    int64_t ne[4];
    size_t nb[4];
    enum ggml_op op;
    int32_t op_params[GGML_MAX_PARAMS];
    int32_t flags;
    struct ggml_tensor * src[GGML_MAX_SRC];
    struct ggml_tensor * view_src;
    size_t view_offs;
    void * data;
    char name[GGML_MAX_NAME];
    void * extra;
    char padding[8];
};
#elif FAKEGGML_LAYOUT == 2 /* as in 2024 */
struct ggml_tensor {
    enum ggml_type type;
    int backend;
    struct ggml_backend_buffer * buffer;
    int64_t ne[4];
    size_t nb[4];
    enum ggml_op op;
    int32_t op_params[GGML_MAX_PARAMS];
    int32_t flags;
    struct ggml_tensor * grad;
    struct ggml_tensor * src[GGML_MAX_SRC];
    struct ggml_tensor * view_src;
    size_t view_offs;
    void * data;
    char name[GGML_MAX_NAME];
    void * extra;
};
#else                      /* never existed */
struct ggml_tensor {
    char name[GGML_MAX_NAME];
    void * data;
    int32_t flags;
    enum ggml_op op;
    struct ggml_tensor * src[GGML_MAX_SRC];
    struct ggml_tensor * view_src;
    size_t view_offs;
    size_t nb[4];
    int64_t ne[4];
    int32_t op_params[GGML_MAX_PARAMS];
    struct ggml_backend_buffer * buffer;
    enum ggml_type type;
    int32_t generation;
};
#endif

struct ggml_cgraph {
    int n_nodes, capacity;
    struct ggml_tensor ** nodes;
};

/* Which struct a plan is; chosen at build time. */
#define FAKEGGML_PLAN_GGML     0 /* ggml's own */
#define FAKEGGML_PLAN_NO_POOL  1 /* without thread pools, as before September 2024 and in forks from then */
#define FAKEGGML_PLAN_REVERSED 2 /* never existed: the callback comes after its argument */
#ifndef FAKEGGML_PLAN
#define FAKEGGML_PLAN FAKEGGML_PLAN_GGML
#endif

struct ggml_cplan {
    size_t work_size;
    uint8_t * work_data;
    int n_threads;
#if FAKEGGML_PLAN != FAKEGGML_PLAN_NO_POOL
    void * threadpool;
#endif
#if FAKEGGML_PLAN == FAKEGGML_PLAN_REVERSED
    void * abort_callback_data;
    bool (*abort_callback)(void * data);
#else
    bool (*abort_callback)(void * data);
    void * abort_callback_data;
#endif
#if FAKEGGML_PLAN == FAKEGGML_PLAN_GGML
    bool use_ref; /* the agent's struct ends before this */
#endif
    uint64_t guard; /* not FAKEGGML_GUARD: the plan was copied, or written beyond its end */
};
#define FAKEGGML_GUARD 0x5afe5afe5afe5afeu

struct ggml_init_params {
    size_t mem_size;
    void * mem_buffer;
    bool no_alloc;
};

struct ggml_context;

struct ggml_context * ggml_init(struct ggml_init_params params);
void ggml_free(struct ggml_context * context);
void ggml_reset(struct ggml_context * context); /* forgets the tensors, keeps the memory */
size_t ggml_tensor_overhead(void);
const char * ggml_version(void);

struct ggml_tensor * ggml_new_tensor_4d(struct ggml_context * context, int type, int64_t n0, int64_t n1, int64_t n2,
                                        int64_t n3);
struct ggml_tensor * ggml_view_1d(struct ggml_context * context, struct ggml_tensor * a, int64_t n, size_t offset);
struct ggml_tensor * ggml_add(struct ggml_context * context, struct ggml_tensor * a, struct ggml_tensor * b);
struct ggml_tensor * ggml_mul(struct ggml_context * context, struct ggml_tensor * a, struct ggml_tensor * b);
struct ggml_tensor * ggml_scale(struct ggml_context * context, struct ggml_tensor * a, float factor);
struct ggml_tensor * ggml_rms_norm(struct ggml_context * context, struct ggml_tensor * a, float epsilon);

/* A view with any strides. */
struct ggml_tensor * ggml_view(struct ggml_context * context, enum ggml_op op, struct ggml_tensor * a,
                               const int64_t * ne, const size_t * nb, size_t offset);

void * ggml_get_data(const struct ggml_tensor * t);
const char * ggml_get_name(const struct ggml_tensor * t);
void ggml_set_name(struct ggml_tensor * t, const char * name);
void ggml_set_input(struct ggml_tensor * t);
void ggml_set_output(struct ggml_tensor * t);
const char * ggml_op_desc(const struct ggml_tensor * t);
const char * ggml_type_name(int type);
int64_t ggml_blck_size(int type);
size_t ggml_type_size(int type);
size_t ggml_nbytes(const struct ggml_tensor * t);

/* The buffer that was freed last, if there is one, so that addresses are reused as soon as possible. */
struct ggml_backend_buffer * ggml_backend_cpu_buffer_from_ptr(void * memory, size_t size);
void ggml_backend_tensor_alloc(struct ggml_backend_buffer * buffer, struct ggml_tensor * t, void * at);
void ggml_backend_buffer_free(struct ggml_backend_buffer * buffer);
const char * ggml_backend_buffer_name(struct ggml_backend_buffer * buffer);
size_t ggml_backend_buffer_get_size(struct ggml_backend_buffer * buffer);
int ggml_backend_buffer_get_usage(struct ggml_backend_buffer * buffer);

struct ggml_cgraph * ggml_new_graph_custom(struct ggml_context * context, size_t size, bool grads);
void ggml_build_forward_expand(struct ggml_cgraph * graph, struct ggml_tensor * tensor);
int ggml_graph_n_nodes(struct ggml_cgraph * graph);
struct ggml_tensor ** ggml_graph_nodes(struct ggml_cgraph * graph);
struct ggml_cplan ggml_graph_plan(const struct ggml_cgraph * graph, int n_threads, void * threadpool);
int ggml_graph_compute(struct ggml_cgraph * graph, struct ggml_cplan * plan);

/* A CPU backend that can only make plans. */
struct ggml_backend;
struct ggml_backend * ggml_backend_cpu_init(void);
void ggml_backend_cpu_set_abort_callback(struct ggml_backend * backend, bool (*callback)(void *), void * data);
struct ggml_cplan * ggml_backend_graph_plan_create(struct ggml_backend * backend, struct ggml_cgraph * graph);
void ggml_backend_graph_plan_free(struct ggml_backend * backend, struct ggml_cplan * plan);
void ggml_backend_free(struct ggml_backend * backend);

/* What hosts call. Like ggml's CPU backend, it calls ggml_graph_compute through its own linkage table. */
int ggml_backend_graph_compute(struct ggml_cgraph * graph, struct ggml_cplan * plan);

void ggml_compute_node(const struct ggml_tensor * node, int thread, int n_threads);
void ggml_compute_fused(const struct ggml_tensor * norm, const struct ggml_tensor * mul, int thread, int n_threads);

/* Which nodes get a callback, from FAKEGGML_RULE (every, empty, unasked, fused, unknown). Default: fused, or every in
 * the layout of 2024. */
enum fakeggml_rule { RULE_EVERY, RULE_SKIP_EMPTY, RULE_SKIP_UNASKED, RULE_FUSE, RULE_UNKNOWN };
enum fakeggml_rule fakeggml_rule(void);

/* How many places where a callback is due were passed in this process, with or without a callback, in the graphs of
 * hosts: those given to ggml_backend_graph_compute. */
uint64_t fakeggml_callbacks(void);
extern _Thread_local const struct ggml_cgraph * fakeggml_hosts_graph;

#endif
