/* SPDX-License-Identifier: MIT
 *
 * Where the traced program's functions are. One of two files answers. symbols_dynamic.c, for the preloaded agent, asks
 * the dynamic linker; symbols_static.c, for the agent that is linked into the program, was told by the linker.
 */
#ifndef TAT_AGENT_SYMBOLS_H
#define TAT_AGENT_SYMBOLS_H

#include <stdbool.h>
#include <stdint.h>

/* The functions of ggml that the agent calls: name, field of struct ggml_functions, whether some versions lack it. */
#define GGML_FUNCTIONS(X)                                                                                              \
    X(ggml_graph_n_nodes, graph_n_nodes, false)                                                                        \
    X(ggml_graph_nodes, graph_nodes, false)                                                                            \
    X(ggml_op_desc, op_desc, false)                                                                                    \
    X(ggml_type_name, type_name, false)                                                                                \
    X(ggml_blck_size, blck_size, false)                                                                                \
    X(ggml_type_size, type_size, false)                                                                                \
    X(ggml_init, init, false)                                                                                          \
    X(ggml_free, free, false)                                                                                          \
    X(ggml_tensor_overhead, tensor_overhead, false)                                                                    \
    X(ggml_new_tensor_4d, new_tensor_4d, false)                                                                        \
    X(ggml_view_1d, view_1d, false)                                                                                    \
    X(ggml_add, add, false)                                                                                            \
    X(ggml_mul, mul, false)                                                                                            \
    X(ggml_scale, scale, false)                                                                                        \
    X(ggml_get_data, get_data, false)                                                                                  \
    X(ggml_get_name, get_name, false)                                                                                  \
    X(ggml_set_input, set_input, false)                                                                                \
    X(ggml_set_output, set_output, false)                                                                              \
    X(ggml_backend_cpu_buffer_from_ptr, buffer_from_ptr, false)                                                        \
    X(ggml_backend_tensor_alloc, tensor_alloc, false)                                                                  \
    X(ggml_backend_buffer_free, buffer_free, false)                                                                    \
    X(ggml_backend_buffer_name, buffer_name, false)                                                                    \
    X(ggml_backend_buffer_get_usage, buffer_usage, false)                                                              \
    X(ggml_new_graph_custom, new_graph_custom, false)                                                                  \
    X(ggml_rms_norm, rms_norm, false)                                                                                  \
    X(ggml_build_forward_expand, build_forward_expand, false)                                                          \
    X(ggml_graph_plan, graph_plan, false)                                                                              \
    X(ggml_backend_buffer_get_size, buffer_get_size, true)                                                             \
    X(ggml_version, version, true)                                                                                     \
    X(ggml_backend_cpu_init, cpu_init, true)                                                                           \
    X(ggml_backend_cpu_set_abort_callback, cpu_set_abort, true)                                                        \
    X(ggml_backend_graph_plan_create, plan_create, true)                                                               \
    X(ggml_backend_graph_plan_free, plan_free, true)                                                                   \
    X(ggml_backend_free, backend_free, true)

/* Starts at 1 and grows with each library that is unloaded: whatever was found before may be gone, and another library
 * may be at its address. Any thread. Takes tens of nanoseconds, under a lock of the dynamic linker that is never held
 * for long. */
uint64_t symbols_generation(void);

/* The newest value that symbols_generation has returned, for hot paths after such a call. Any thread. */
uint64_t symbols_generation_seen(void);

/* The function of ggml that code at `caller` would reach by that name, or NULL. Any thread. */
void * symbol_find(const void * caller, const char * name);

/* The function `name` that `caller` would have reached without `ours`, or NULL. After a tail call, `caller` is not the
 * code that called; then it is the function of that name in any library. Asks the dynamic linker each time; not in a
 * static agent. Any thread. */
void * symbol_behind(const void * caller, const char * name, const void * ours);

/* The ggml_graph_compute that `caller` would have reached without `ours`, or NULL. Any thread. */
void * symbol_graph_compute(const void * caller, const void * ours);

/* Like symbol_behind, but lock-free for a caller seen before. Not in a static agent. */
void * symbol_hooked(const void * caller, const char * name, const void * ours);

/* Registers `child`, once, to be called in each child of a fork. False where that is impossible, as with another libc
 * than glibc. */
bool symbols_at_fork(void (*child)(void));

/* The path of the library or program that holds a function; NULL: unknown. The caller frees it. */
char * symbol_file(const void * function);

#endif
