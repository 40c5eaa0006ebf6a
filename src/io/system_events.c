/* SPDX-License-Identifier: MIT */
#include "io/system_events.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/trace_page.h"
#include "io/tracefs.h"
#include "io/tracepoints.h"

enum { BUFFER_KB = 8192, BUFFERS_KB = 256 << 10 }; /* of a processor; of all together, at most */
enum { PAGE_MOST = 64 << 10 };

struct system_events {
    struct trace_instance instance;
    struct tracepoints * tracepoints;
    int * buffers; /* one for each processor; -1: there is none */
    unsigned n_buffers;
    perf_sink sink; /* of the reading at hand */
    void * user;
    uint8_t page[PAGE_MOST];
};

static int set(const struct trace_instance * i, const char * file, const char * text, struct tat_error * error) {
    return trace_instance_set(i, file, text) == 0 ? 0 : tat_fail_errno(error, "tracefs: %s", file);
}

static int switch_on(struct system_events * s, struct tat_error * error) {
    char size[16], file[96];
    const unsigned share = BUFFERS_KB / s->n_buffers;
    snprintf(size, sizeof size, "%u", share < BUFFER_KB ? share : BUFFER_KB);
    if (set(&s->instance, "trace_clock", "mono", error) != 0 || set(&s->instance, "buffer_size_kb", size, error) != 0) {
        return -1;
    }
    for (int i = 0; i < TRACEPOINTS; i++) {
        const char * folder = tracepoint_folder(s->tracepoints, i);
        snprintf(file, sizeof file, "events/%s/enable", folder);
        if (folder && set(&s->instance, file, "1", error) != 0) { return -1; }
    }
    return 0;
}

static int open_buffers(struct system_events * s, struct tat_error * error) {
    char file[64];
    for (unsigned i = 0; i < s->n_buffers; i++) {
        snprintf(file, sizeof file, "per_cpu/cpu%u/trace_pipe_raw", i);
        s->buffers[i] = openat(s->instance.folder, file, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        if (s->buffers[i] < 0 && errno != ENOENT) { return tat_fail_errno(error, "tracefs: %s", file); }
    }
    return 0;
}

struct system_events * system_events_open(struct tat_error * error) {
    const long processors = sysconf(_SC_NPROCESSORS_CONF);
    struct system_events * s = calloc(1, sizeof *s);
    if (s) {
        s->instance.folder = s->instance.tracefs = -1;
        s->n_buffers = processors > 0 ? (unsigned) processors : 1;
        s->buffers = malloc(s->n_buffers * sizeof *s->buffers);
    }
    if (!s || !s->buffers) {
        free(s);
        tat_fail(error, TAT_ERROR_SYSTEM, "out of memory");
        return NULL;
    }
    for (unsigned i = 0; i < s->n_buffers; i++) { s->buffers[i] = -1; }
    if (trace_instance_make(&s->instance, error) == 0) {
        s->tracepoints = tracepoints_find(s->instance.folder, error);
        if (s->tracepoints && open_buffers(s, error) == 0 && switch_on(s, error) == 0) { return s; }
    }
    system_events_close(s);
    return NULL;
}

const char * system_events_missing(const struct system_events * s, enum tat_io_source source) {
    return tracepoints_missing(s->tracepoints, source);
}

static void see_entry(uint64_t ns, const uint8_t * entry, uint32_t bytes, void * user) {
    const struct system_events * s = user;
    struct perf_event event = { .ns = ns };
    if (tracepoint_read(s->tracepoints, entry, bytes, &event)) { s->sink(&event, s->user); }
}

void system_events_read(struct system_events * s, perf_sink sink, void * user) {
    s->sink = sink;
    s->user = user;
    for (unsigned i = 0; i < s->n_buffers; i++) {
        for (ssize_t n; s->buffers[i] >= 0 && (n = read(s->buffers[i], s->page, sizeof s->page)) > 0;) {
            uint64_t ns = 0;
            const uint64_t lost = trace_page_read(s->page, (size_t) n, see_entry, s);
            memcpy(&ns, s->page, sizeof ns);
            if (lost) { sink(&(struct perf_event){ .kind = PERF_LOST, .ns = ns, .count = lost }, user); }
        }
    }
}

void system_events_close(struct system_events * s) {
    if (!s) { return; }
    for (unsigned i = 0; i < s->n_buffers; i++) {
        if (s->buffers[i] >= 0) { close(s->buffers[i]); }
    }
    trace_instance_remove(&s->instance);
    tracepoints_free(s->tracepoints);
    free(s->buffers);
    free(s);
}
