/* SPDX-License-Identifier: MIT
 *
 * Passive wrappers of those llama.cpp functions that mark what graphs do not show: loading, warm-up, clearing and
 * restoring, buffers, the extent of a call. They note the call and pass it on. Where a host reaches the functions
 * another way, the trace does not have these events.
 */
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/events.h"
#include "agent/files.h"
#include "agent/hook.h"
#include "agent/registry.h"
#include "agent/symbols.h"
#include "tat/format.h"

/* Parameters that llama.cpp passes by value and whose size differs between versions. The copy takes all that the caller
 * put on its stack and somewhat more. On arm64 they are passed by address, and copied from there in the same way. */
struct by_value {
    uint64_t bytes[40];
};

/* llama_batch, which has had seven to nine words. This copies little more than it must: the call may come from the
 * first function of a coroutine, and nothing lies beyond that stack. */
struct batch {
    uint64_t bytes[10];
};

enum { STATUS_FAILED = -1 };

static uint64_t id(const void * pointer) {
    return (uint64_t) (uintptr_t) pointer;
}

/* ---- loading ---- */

#define LOAD(name, may_be_foreign)                                                                                     \
    TAT_EXPORT void * HOOK(name)(const char * path, struct by_value params);                                           \
    void * HOOK(name)(const char * path, struct by_value params) {                                                     \
        HOOK_REAL(name, 0)                                                                                             \
        files_note(path, may_be_foreign);                                                                              \
        event_text(TAT_EVENT_LOAD_BEGIN, path ? path : "");                                                            \
        void * model = real(path, params);                                                                             \
        event_values(TAT_EVENT_LOAD_END, id(model), 0);                                                                \
        registry_doubt();                                                                                              \
        return model;                                                                                                  \
    }

LOAD(llama_model_load_from_file, false)
LOAD(llama_load_model_from_file, false) /* the name until 2025 */
LOAD(whisper_init_from_file_with_params, true)
LOAD(whisper_init_from_file_with_params_no_state, true)

/* Two words by value travel in registers. */
struct gguf_init_params {
    uint64_t no_alloc;
    void * context;
};

TAT_EXPORT void * HOOK(gguf_init_from_file)(const char * path, struct gguf_init_params params);

void * HOOK(gguf_init_from_file)(const char * path, struct gguf_init_params params) {
    HOOK_REAL(gguf_init_from_file, 0);
    files_note(path, false);
    event_text(TAT_EVENT_OPEN_MODEL, path ? path : "");
    registry_doubt();
    return real(path, params);
}

TAT_EXPORT void * HOOK(gguf_init_from_file_ptr)(FILE * file, struct gguf_init_params params);

/* An adapter's file is passed like this, already open. gguf_init_from_file may pass here too; its file is noted
 * already. */
void * HOOK(gguf_init_from_file_ptr)(FILE * file, struct gguf_init_params params) {
    HOOK_REAL(gguf_init_from_file_ptr, 0);
    char link[64], path[PATH_MAX];
    const int error = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file ? fileno(file) : -1);
    const ssize_t length = readlink(link, path, sizeof path - 1);
    errno = error;
    if (length > 0) {
        path[length] = '\0';
        if (files_note(path, false)) { event_text(TAT_EVENT_OPEN_MODEL, path); }
    }
    return real(file, params);
}

/* ---- clearing and warming up ---- */

#define NOTE_1(name, event)                                                                                            \
    TAT_EXPORT void HOOK(name)(void * subject);                                                                        \
    void HOOK(name)(void * subject) {                                                                                  \
        HOOK_REAL(name, )                                                                                              \
        event_values(event, id(subject), 0);                                                                           \
        real(subject);                                                                                                 \
    }

#define NOTE_2(name, event)                                                                                            \
    TAT_EXPORT void HOOK(name)(void * subject, bool value);                                                            \
    void HOOK(name)(void * subject, bool value) {                                                                      \
        HOOK_REAL(name, )                                                                                              \
        event_values(event, id(subject), value);                                                                       \
        real(subject, value);                                                                                          \
    }

NOTE_2(llama_memory_clear, TAT_EVENT_MEMORY_CLEAR)
NOTE_1(llama_kv_self_clear, TAT_EVENT_MEMORY_CLEAR)
NOTE_1(llama_kv_cache_clear, TAT_EVENT_MEMORY_CLEAR)
NOTE_1(llama_perf_context_reset, TAT_EVENT_PERF_RESET)
NOTE_2(llama_set_warmup, TAT_EVENT_WARMUP)

/* ---- other contents ---- */

#define STATE(name, parameters, arguments, sequence)                                                                   \
    TAT_EXPORT size_t HOOK(name) parameters;                                                                           \
    size_t HOOK(name) parameters {                                                                                     \
        HOOK_REAL(name, 0)                                                                                             \
        event_values(TAT_EVENT_MEMORY_SET, id(context), sequence);                                                     \
        return real arguments;                                                                                         \
    }

STATE(llama_state_set_data, (void * context, const void * bytes, size_t size), (context, bytes, size), -1)
STATE(llama_state_seq_set_data, (void * context, const void * bytes, size_t size, int32_t sequence),
      (context, bytes, size, sequence), sequence)
STATE(llama_state_seq_set_data_ext, (void * context, const void * bytes, size_t size, int32_t sequence, uint32_t flags),
      (context, bytes, size, sequence, flags), sequence)
STATE(llama_state_seq_load_file,
      (void * context, const char * path, int32_t sequence, void * tokens, size_t capacity, size_t * count),
      (context, path, sequence, tokens, capacity, count), sequence)

TAT_EXPORT bool HOOK(llama_state_load_file)(void * context, const char * path, void * tokens, size_t capacity,
                                            size_t * count);

bool HOOK(llama_state_load_file)(void * context, const char * path, void * tokens, size_t capacity, size_t * count) {
    HOOK_REAL(llama_state_load_file, false);
    event_values(TAT_EVENT_MEMORY_SET, id(context), -1);
    return real(context, path, tokens, capacity, count);
}

TAT_EXPORT void HOOK(llama_memory_seq_cp)(void * memory, int32_t from, int32_t to, int32_t first, int32_t end);

void HOOK(llama_memory_seq_cp)(void * memory, int32_t from, int32_t to, int32_t first, int32_t end) {
    HOOK_REAL(llama_memory_seq_cp, );
    event_values(TAT_EVENT_MEMORY_SET, id(memory), to);
    real(memory, from, to, first, end);
}

TAT_EXPORT void HOOK(llama_memory_seq_add)(void * memory, int32_t sequence, int32_t first, int32_t end, int32_t by);

void HOOK(llama_memory_seq_add)(void * memory, int32_t sequence, int32_t first, int32_t end, int32_t by) {
    HOOK_REAL(llama_memory_seq_add, );
    event_values(TAT_EVENT_MEMORY_SET, id(memory), sequence);
    real(memory, sequence, first, end, by);
}

/* ---- buffers ---- */

TAT_EXPORT void * HOOK(ggml_backend_buft_alloc_buffer)(void * type, size_t size);

void * HOOK(ggml_backend_buft_alloc_buffer)(void * type, size_t size) {
    HOOK_REAL(ggml_backend_buft_alloc_buffer, NULL);
    void * buffer = real(type, size);
    if (size) {
        files_buffer_made(buffer);
        event_values(TAT_EVENT_BUFFER_ALLOC, id(buffer), (int64_t) size);
    }
    return buffer;
}

/* For every weight that it loads, llama.cpp makes and frees an empty buffer, to ask which kinds of buffer would take
 * it. */
static bool is_empty(const void * caller, void * buffer) {
    void * symbol = buffer ? symbol_find(caller, "ggml_backend_buffer_get_size") : NULL;
    size_t (*get_size)(void *);
    memcpy(&get_size, &symbol, sizeof get_size);
    return !buffer || (get_size && get_size(buffer) == 0);
}

TAT_EXPORT void HOOK(ggml_backend_buffer_free)(void * buffer);

static _Thread_local bool frees_scheduler; /* a context is being freed, and with it its result buffers */

/* The buffer is forgotten before it is freed, since another can be at its address right afterwards. */
void HOOK(ggml_backend_buffer_free)(void * buffer) {
    HOOK_REAL(ggml_backend_buffer_free, );
    if (!is_empty(__builtin_return_address(0), buffer)) {
        event_values(TAT_EVENT_BUFFER_FREE, id(buffer), 0);
        registry_buffer_freed(buffer, frees_scheduler);
    }
    real(buffer);
}

TAT_EXPORT void HOOK(ggml_backend_sched_free)(void * scheduler);

void HOOK(ggml_backend_sched_free)(void * scheduler) {
    HOOK_REAL(ggml_backend_sched_free, );
    frees_scheduler = true;
    real(scheduler);
    frees_scheduler = false;
}

/* ---- calls ---- */

/* llama_batch begins with the number of tokens. It has always been larger than two words, so it is passed in memory. */
#define CALL(name)                                                                                                     \
    TAT_EXPORT int32_t HOOK(name)(void * context, struct batch batch);                                                 \
    int32_t HOOK(name)(void * context, struct batch batch) {                                                           \
        HOOK_REAL(name, STATUS_FAILED)                                                                                 \
        event_values(TAT_EVENT_CALL_BEGIN, id(context), (int32_t) batch.bytes[0]);                                     \
        const int32_t status = real(context, batch);                                                                   \
        event_values(TAT_EVENT_CALL_END, id(context), status);                                                         \
        return status;                                                                                                 \
    }

CALL(llama_decode)
CALL(llama_encode)

TAT_EXPORT int32_t HOOK(llama_process)(void * context, int type, void * batch);

/* The batch is opaque; the graphs of the call show how many tokens it has. */
int32_t HOOK(llama_process)(void * context, int type, void * batch) {
    HOOK_REAL(llama_process, STATUS_FAILED);
    event_values(TAT_EVENT_CALL_BEGIN, id(context), -1);
    const int32_t status = real(context, type, batch);
    event_values(TAT_EVENT_CALL_END, id(context), status);
    return status;
}
