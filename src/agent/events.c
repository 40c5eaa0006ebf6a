/* SPDX-License-Identifier: MIT */
#include "agent/events.h"

#include <pthread.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/clock.h"
#include "agent/sink.h"
#include "agent/token_filter.h"
#include "format/buffer.h"
#include "tat/gguf.h"

enum { ARCHITECTURE_MAX = 64, EVENT_MAX = 8192, EARLY_MAX = 64 << 10 };

static uint64_t emitted, lost; /* relaxed: sums */
static _Thread_local uint32_t tid;

/* What happens before the first graph, above all the load, waits here until there is a trace. */
static pthread_mutex_t early_lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    uint8_t bytes[EARLY_MAX]; /* payloads, each after its length as a uint16_t */
    size_t used;
    uint64_t lost;
    bool over; /* they are in the trace, and what comes now goes there directly */
} early;

uint32_t events_thread_id(void) {
    if (!tid) { tid = (uint32_t) syscall(SYS_gettid); }
    return tid;
}

static struct tat_out begin(uint8_t * bytes, int type) {
    struct tat_out out = { .at = bytes, .end = bytes + EVENT_MAX };
    tat_put_varint(&out, (uint64_t) type);
    tat_put_varint(&out, clock_ticks(agent_clock()));
    tat_put_varint(&out, events_thread_id());
    return out;
}

static void store(const uint8_t * bytes, size_t count) {
    __atomic_fetch_add(&emitted, 1, __ATOMIC_RELAXED);
    if (!sink_write(&trace_sink, TAT_BLOCK_EVENT, bytes, count)) { __atomic_fetch_add(&lost, 1, __ATOMIC_RELAXED); }
}

/* False: it is too late to keep events here. This is asked under the lock: otherwise an event could come between the
 * opening of the trace and the writing of what was kept, and be neither stored nor lost. */
static bool keep_early(const uint8_t * bytes, size_t count) {
    const uint16_t length = (uint16_t) count;
    pthread_mutex_lock(&early_lock);
    const bool kept = !early.over;
    if (kept && EARLY_MAX - early.used < sizeof length + count) {
        early.lost++;
    } else if (kept) {
        memcpy(early.bytes + early.used, &length, sizeof length);
        memcpy(early.bytes + early.used + sizeof length, bytes, count);
        early.used += sizeof length + count;
    }
    pthread_mutex_unlock(&early_lock);
    return kept;
}

static void end(const uint8_t * bytes, const struct tat_out * out) {
    if (!agent_enter()) { return; }
    const size_t count = (size_t) (out->at - bytes);
    if (agent_state() != AGENT_OFF && (sink_is_open(&trace_sink) || !keep_early(bytes, count))) { store(bytes, count); }
    agent_leave();
}

void events_flush_early(void) {
    pthread_mutex_lock(&early_lock);
    for (size_t at = 0; at < early.used;) {
        uint16_t length;
        memcpy(&length, early.bytes + at, sizeof length);
        store(early.bytes + at + sizeof length, length);
        at += sizeof length + length;
    }
    __atomic_fetch_add(&emitted, early.lost, __ATOMIC_RELAXED);
    __atomic_fetch_add(&lost, early.lost, __ATOMIC_RELAXED);
    early.used = 0;
    early.lost = 0;
    early.over = true;
    pthread_mutex_unlock(&early_lock);
}

/* A text is a path, or does not begin with a slash. */
static void put_path(struct tat_out * out, const char * path) {
    char text[EVENT_MAX / 2];
    const size_t length = agent_path(text, sizeof text, path);
    tat_put_string(out, text, length);
}

void event_clock(void) {
    uint8_t bytes[EVENT_MAX];
    struct tat_out out = begin(bytes, TAT_EVENT_CLOCK);
    /* The counter is read before and after the clock: the middle is off by at most half a call. */
    const uint64_t before = clock_ticks(agent_clock());
    const uint64_t ns = clock_monotonic_ns();
    const uint64_t after = clock_ticks(agent_clock());
    tat_put_varint(&out, before + (after - before) / 2);
    tat_put_varint(&out, ns);
    end(bytes, &out);
}

void event_mapping(uint32_t file, uint64_t address, uint64_t length, uint64_t file_offset) {
    uint8_t bytes[EVENT_MAX];
    struct tat_out out = begin(bytes, TAT_EVENT_MAPPING);
    tat_put_varint(&out, file);
    tat_put_varint(&out, address);
    tat_put_varint(&out, length);
    tat_put_varint(&out, file_offset);
    end(bytes, &out);
}

void event_model_file(uint32_t file, uint32_t model, uint32_t part, const struct tat_gguf_file * f, uint64_t hash,
                      enum tat_part holds, const char * architecture) {
    uint8_t bytes[EVENT_MAX];
    struct tat_out out = begin(bytes, TAT_EVENT_MODEL_FILE);
    tat_put_varint(&out, file);
    tat_put_varint(&out, model);
    tat_put_varint(&out, part);
    tat_put_varint(&out, f->size);
    tat_put_zigzag(&out, f->mtime_ns);
    tat_put_varint(&out, f->device);
    tat_put_varint(&out, f->inode);
    tat_put_varint(&out, f->header_hash);
    tat_put_varint(&out, hash);
    put_path(&out, f->path);
    tat_put_varint(&out, holds);
    tat_put_string(&out, architecture, strnlen(architecture, ARCHITECTURE_MAX));
    end(bytes, &out);
}

void event_context(uint32_t context, uint64_t key, bool is_buffer) {
    uint8_t bytes[EVENT_MAX];
    struct tat_out out = begin(bytes, TAT_EVENT_CONTEXT);
    tat_put_varint(&out, context);
    tat_put_varint(&out, key);
    tat_put_varint(&out, is_buffer);
    end(bytes, &out);
}

void event_text(int type, const char * text) {
    uint8_t bytes[EVENT_MAX];
    struct tat_out out = begin(bytes, type);
    put_path(&out, text);
    end(bytes, &out);
}

void event_numbers(int type, const uint64_t * values, size_t count) {
    uint8_t bytes[EVENT_MAX];
    struct tat_out out = begin(bytes, type);
    for (size_t i = 0; i < count; i++) { tat_put_varint(&out, values[i]); }
    end(bytes, &out);
}

void event_values(int type, uint64_t subject, int64_t value) {
    uint8_t bytes[EVENT_MAX];
    struct tat_out out = begin(bytes, type);
    tat_put_varint(&out, subject);
    tat_put_zigzag(&out, value);
    end(bytes, &out);
    tokens_event(type, value);
}

uint64_t events_emitted(void) {
    return __atomic_load_n(&emitted, __ATOMIC_RELAXED);
}

uint64_t events_lost(void) {
    return __atomic_load_n(&lost, __ATOMIC_RELAXED);
}

void events_after_fork(void) {
    pthread_mutex_init(&early_lock, NULL);
    early.used = 0;
    early.lost = 0;
    early.over = false;
    emitted = lost = tid = 0;
}
