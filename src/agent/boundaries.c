/* SPDX-License-Identifier: MIT
 *
 * Passive wrappers of llama.cpp's functions that mark what graphs do not show: loading, warm-up, clearing, one call's
 * extent. They note and pass on; a host that reaches the functions another way is not seen, and the trace knows
 * nothing.
 */
#include <stdbool.h>
#include <stdint.h>

#include "agent/events.h"
#include "agent/files.h"
#include "agent/hook.h"
#include "tat/format.h"

/* Parameters that llama.cpp passes by value, whose size moves between versions. What the caller put on its stack is
 * copied whole, and somewhat more; on arm64 they come by address, which is copied from in the same way. */
struct by_value {
    uint64_t bytes[40];
};

static uint64_t id(const void * pointer) {
    return (uint64_t) (uintptr_t) pointer;
}

/* ----------------------------------------------------------------------------------------------------- loading */

#define LOAD(name)                                                                                                     \
    TAT_EXPORT void * HOOK(name)(const char * path, struct by_value params);                                           \
    void *            HOOK(name)(const char * path, struct by_value params) {                                          \
                   HOOK_REAL(name)                                                                                     \
                   files_note(path);                                                                                   \
                   event_text(TAT_EVENT_LOAD_BEGIN, path ? path : "");                                                 \
                   void * model = real(path, params);                                                                  \
                   event_values(TAT_EVENT_LOAD_END, id(model), 0);                                                     \
                   return model;                                                                                       \
    }

LOAD(llama_model_load_from_file)
LOAD(llama_load_model_from_file) /* its name until 2025 */

/* Two words by value: they travel in registers. */
struct gguf_init_params {
    uint64_t no_alloc;
    void *   context;
};

TAT_EXPORT void * HOOK(gguf_init_from_file)(const char * path, struct gguf_init_params params);

void * HOOK(gguf_init_from_file)(const char * path, struct gguf_init_params params) {
    HOOK_REAL(gguf_init_from_file)
    files_note(path);
    event_text(TAT_EVENT_OPEN_MODEL, path ? path : "");
    return real(path, params);
}

/* ------------------------------------------------------------------------------------- clearing and warming up */

#define NOTE_1(name, event)                                                                                            \
    TAT_EXPORT void HOOK(name)(void * subject);                                                                        \
    void            HOOK(name)(void * subject) {                                                                       \
                   HOOK_REAL(name)                                                                                     \
                   event_values(event, id(subject), 0);                                                                \
                   real(subject);                                                                                      \
    }

#define NOTE_2(name, event)                                                                                            \
    TAT_EXPORT void HOOK(name)(void * subject, bool value);                                                            \
    void            HOOK(name)(void * subject, bool value) {                                                           \
                   HOOK_REAL(name)                                                                                     \
                   event_values(event, id(subject), value);                                                            \
                   real(subject, value);                                                                               \
    }

NOTE_2(llama_memory_clear, TAT_EVENT_MEMORY_CLEAR)
NOTE_1(llama_kv_self_clear, TAT_EVENT_MEMORY_CLEAR)
NOTE_1(llama_kv_cache_clear, TAT_EVENT_MEMORY_CLEAR)
NOTE_1(llama_perf_context_reset, TAT_EVENT_PERF_RESET)
NOTE_2(llama_set_warmup, TAT_EVENT_WARMUP)

/* ------------------------------------------------------------------------------------------------------- calls */

/* llama_batch begins with its number of tokens and has been larger than two words since it exists: by value, in memory.
 */
#define CALL(name)                                                                                                     \
    TAT_EXPORT int32_t HOOK(name)(void * context, struct by_value batch);                                              \
    int32_t            HOOK(name)(void * context, struct by_value batch) {                                             \
                   HOOK_REAL(name)                                                                                     \
                   event_values(TAT_EVENT_CALL_BEGIN, id(context), (int32_t) batch.bytes[0]);                          \
                   const int32_t status = real(context, batch);                                                        \
                   event_values(TAT_EVENT_CALL_END, id(context), status);                                              \
                   return status;                                                                                      \
    }

CALL(llama_decode)
CALL(llama_encode)

TAT_EXPORT int32_t HOOK(llama_process)(void * context, int type, void * batch);

/* The batch is opaque: how many tokens it has follows from the graphs of the call. */
int32_t HOOK(llama_process)(void * context, int type, void * batch) {
    HOOK_REAL(llama_process)
    event_values(TAT_EVENT_CALL_BEGIN, id(context), -1);
    const int32_t status = real(context, type, batch);
    event_values(TAT_EVENT_CALL_END, id(context), status);
    return status;
}
