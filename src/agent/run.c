/* SPDX-License-Identifier: MIT */
#include "agent/run.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/clock.h"
#include "agent/cold_lock.h"
#include "agent/events.h"
#include "agent/keeper.h"
#include "agent/report.h"
#include "agent/sink.h"
#include "agent/usage.h"
#include "format/block.h"
#include "format/buffer.h"
#include "format/file_names.h"

enum { CALIBRATION_NS = 2000000, ANCHOR_NS = 1000000000, USAGE_ANCHORS = 10, PAYLOAD_MAX = 1024 };

static pthread_mutex_t opening = PTHREAD_MUTEX_INITIALIZER;

/* What the trace was told so far. The keeper owns it, and then whoever closes. */
static struct {
    uint64_t lost[TAT_LOSS_COUNT], events;
    uint64_t anchor_ns;
    unsigned anchors;
    bool cut;
} written;

static bool after_fork; /* the run's folder is the parent's */

/* ---- closing blocks ---- */

static uint64_t total(const uint64_t * counter) {
    return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

static void write_losses(void) {
    for (int reason = 1; reason < TAT_LOSS_COUNT; reason++) {
        const uint64_t lost = total(&agent_totals.lost[reason]);
        if (lost == written.lost[reason]) { continue; }
        uint8_t bytes[PAYLOAD_MAX];
        struct tat_out out = { .at = bytes, .end = bytes + sizeof bytes };
        tat_put_varint(&out, (uint64_t) reason);
        tat_put_varint(&out, lost - written.lost[reason]);
        tat_put_varint(&out, 0);
        if (sink_write_last(&trace_sink, TAT_BLOCK_LOSS, bytes, (size_t) (out.at - bytes))) {
            written.lost[reason] = lost;
        }
    }
    const uint64_t events = events_lost();
    if (events != written.events) {
        uint8_t bytes[PAYLOAD_MAX];
        struct tat_out out = { .at = bytes, .end = bytes + sizeof bytes };
        tat_put_varint(&out, TAT_LOSS_NO_SPACE);
        tat_put_varint(&out, 0);
        tat_put_varint(&out, events - written.events);
        if (sink_write_last(&trace_sink, TAT_BLOCK_LOSS, bytes, (size_t) (out.at - bytes))) { written.events = events; }
    }
}

static void write_end(void) {
    write_losses();
    uint8_t bytes[PAYLOAD_MAX];
    struct tat_out out = { .at = bytes, .end = bytes + sizeof bytes };
    tat_put_varint(&out, total(&agent_totals.evaluations_emitted));
    tat_put_varint(&out, total(&agent_totals.evaluations_stored));
    tat_put_varint(&out, total(&agent_totals.evaluations_filtered));
    tat_put_varint(&out, total(&agent_totals.callbacks_emitted));
    tat_put_varint(&out, total(&agent_totals.callbacks_stored));
    tat_put_varint(&out, events_emitted());
    tat_put_varint(&out, events_emitted() - events_lost());
    for (int reason = 1; reason < TAT_LOSS_COUNT; reason++) { tat_put_varint(&out, total(&agent_totals.lost[reason])); }
    sink_write_last(&trace_sink, TAT_BLOCK_END, bytes, (size_t) (out.at - bytes));
}

static void note_cut(void) {
    if (written.cut || !sink_was_cut(&trace_sink)) { return; }
    written.cut = true;
    event_text(TAT_EVENT_NOTE, "the trace was cut short while it was recorded: what it held until then is lost");
}

/* Called by the keeper. One clock anchor per second keeps times exact. Usage is noted now and then, for programs that
 * are killed. */
static void tick(void) {
    const uint64_t now = clock_monotonic_ns();
    note_cut();
    if (now - written.anchor_ns < ANCHOR_NS) { return; }
    written.anchor_ns = now;
    event_clock();
    if (++written.anchors % USAGE_ANCHORS == 0) { usage_note(); }
}

/* ---- the folder ---- */

static bool make_folders(char * path) {
    for (char * slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        const bool failed = mkdir(path, 0700) != 0 && errno != EEXIST;
        *slash = '/';
        if (failed) { return false; }
    }
    return mkdir(path, 0700) == 0 || errno == EEXIST;
}

/* The folder of this process, if it is not TAT_RUN_DIR itself. False: the name is too long. */
static bool name_folder(char * folder, size_t size) {
    const char * run = getenv("TAT_RUN_DIR");
    const char * parent = getenv("TAT_DIR");
    const int pid = (int) getpid();
    const time_t now = time(NULL);
    struct tm local;
    char when[32];
    localtime_r(&now, &local);
    strftime(when, sizeof when, "%Y%m%d_%H%M%S", &local);
    const int length = run && *run
                           ? snprintf(folder, size, "%s_%d", run, pid)
                           : snprintf(folder, size, "%s/run_%s_%d", parent && *parent ? parent : "traces", when, pid);
    return length > 0 && (size_t) length < size;
}

static bool join(char * path, size_t size, const char * folder) {
    const int length = snprintf(path, size, "%s/" TRACE_FILE, folder);
    return length > 0 && (size_t) length < size;
}

/* The first process of a run that computes a graph writes to TAT_RUN_DIR itself; for the others the process id is
 * appended. Without TAT_RUN_DIR, each makes a new folder under TAT_DIR or ./traces. A program that replaces itself
 * keeps its process id, so a number is appended too. */
static bool choose_file(char * path, size_t size) {
    enum { TRIES = 1000 };
    const char * run = getenv("TAT_RUN_DIR");
    char folder[PATH_MAX];
    if (run && *run && !after_fork && join(path, size, run) && access(path, F_OK) != 0) { return true; }
    if (!name_folder(folder, sizeof folder) || !join(path, size, folder)) { return false; }
    const size_t length = strlen(folder);
    for (int i = 2; i < TRIES && access(path, F_OK) == 0; i++) {
        snprintf(folder + length, sizeof folder - length, "_%d", i);
        if (!join(path, size, folder)) { return false; }
    }
    return make_folders(folder);
}

static void copy_text(char * to, size_t size, const char * from) {
    const size_t length = from ? strnlen(from, size - 1) : 0;
    if (length) { memcpy(to, from, length); }
    to[length] = '\0';
}

/* An estimate for readers that start before the first anchors, which make it exact. */
static uint64_t measure_rate(void) {
    if (agent_clock() == TAT_CLOCK_MONOTONIC) { return 1000000000u; }
    const uint64_t ns = clock_monotonic_ns(), ticks = clock_ticks(agent_clock());
    uint64_t elapsed;
    do { elapsed = clock_monotonic_ns() - ns; } while (elapsed < CALIBRATION_NS);
    return (uint64_t) ((double) (clock_ticks(agent_clock()) - ticks) * 1e9 / (double) elapsed);
}

static void fill_header(struct tat_file_header * h, const struct host * host) {
    memcpy(h->magic, TAT_MAGIC, sizeof h->magic);
    h->version = TAT_FORMAT_VERSION;
    h->header_bytes = TAT_HEADER_BYTES;
    h->byte_order = TAT_BYTE_ORDER;
    h->file_kind = TAT_FILE_TENSOR_ACCESS;
    h->features = agent_options()->is_private ? TAT_FEATURE_PRIVATE : 0;
    struct timespec real;
    clock_gettime(CLOCK_REALTIME, &real);
    h->start_realtime_ns = (uint64_t) real.tv_sec * 1000000000u + (uint64_t) real.tv_nsec;
    h->start_monotonic_ns = clock_monotonic_ns();
    h->start_tick = clock_ticks(agent_clock());
    h->ticks_per_second = measure_rate();
    h->clock = agent_clock();
    h->stamp_shift = AGENT_STAMP_SHIFT;
    h->pid = (uint32_t) getpid();
    h->page_bytes = (uint32_t) sysconf(_SC_PAGESIZE);
    if (getrandom(h->run_id, sizeof h->run_id, GRND_NONBLOCK) < 0) { memcpy(h->run_id, &h->start_tick, 8); }
    copy_text(h->producer, sizeof h->producer, "tat " TAT_VERSION);
    char program[PATH_MAX];
    const ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    program[length > 0 ? length : 0] = '\0';
    agent_path(h->program, sizeof h->program, program);
    agent_path(h->ggml_path, sizeof h->ggml_path, host->path ? host->path : "");
    copy_text(h->ggml_version, sizeof h->ggml_version, host->ggml.version ? host->ggml.version() : "");
}

/* Tries again if another process of the run has taken the name meanwhile. */
static bool create_file(struct tat_file_header * header, const char ** why) {
    enum { TRIES = 100 };
    char path[PATH_MAX];
    for (int i = 0; i < TRIES; i++) {
        *why = "cannot create the folder of the trace";
        if (!choose_file(path, sizeof path)) { return false; }
        if (sink_open(&trace_sink, path, header, agent_options()->max_size, tick, why)) { return true; }
        if (errno != EEXIST) { return false; }
    }
    return false;
}

static bool open_trace(const struct host * host) {
    static struct tat_file_header header;
    const char * why;
    memset(&header, 0, sizeof header);
    fill_header(&header, host);
    if (!create_file(&header, &why)) {
        const int error = errno;
        if (getenv("TAT_VERBOSE")) { dprintf(STDERR_FILENO, "tat agent: %s: %s\n", why, strerror(error)); }
        report_failure(why, error);
        return false;
    }
    event_clock();
    usage_note();
    events_flush_early();
    return true;
}

bool run_is_recorded(const struct host * host) {
    const enum agent_state now = agent_state();
    if (now != AGENT_WAITING) { return now == AGENT_RECORDING; }
    const int cancelling = cold_lock(&opening);
    if (agent_state() == AGENT_WAITING) { agent_set_state(open_trace(host) ? AGENT_RECORDING : AGENT_OFF); }
    cold_unlock(&opening, cancelling);
    return agent_state() == AGENT_RECORDING;
}

void run_close(void) {
    if (agent_state() == AGENT_RECORDING) {
        event_clock();
        usage_note();
        note_cut();
    }
    if (agent_close() == AGENT_RECORDING) { sink_close(&trace_sink, write_end); }
}

void run_after_fork(void) {
    sink_after_fork(&trace_sink);
    keeper_after_fork();
    pthread_mutex_init(&opening, NULL);
    memset(&written, 0, sizeof written);
    after_fork = true;
}
