/* SPDX-License-Identifier: MIT */
#include "io/io_recorder.h"

#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "agent/clock.h"
#include "agent/sink.h"
#include "format/io_events.h"
#include "io/faults.h"
#include "io/privilege.h"

enum { BLOCK_BYTES = 64 << 10, BLOCK_NS = 1000000000, WAIT_MS = 20, FAULT_MAX = 8 * TAT_VARINT_MAX };

struct io_recorder {
    struct perf_events * events;
    struct faults faults;
    pthread_t thread;
    bool ending; /* written by io_recorder_stop, relaxed: joining the thread orders the rest */
    struct io_totals totals;
    uint64_t ignored_told, lost_told;
    struct io_state state;
    struct tat_out out;
    uint64_t block_faults, block_began_ns;
    uint8_t block[BLOCK_BYTES];
};

static struct sink io_sink = SINK_INITIALIZER;

/* ---- blocks ---- */

static void begin_block(struct io_recorder * r) {
    r->out = (struct tat_out){ r->block, r->block + sizeof r->block, false };
    r->state = (struct io_state){ 0 };
    r->block_faults = 0;
}

static void write_block(struct io_recorder * r) {
    if (r->faults.ignored > r->ignored_told) {
        io_put_count(&r->out, TAT_IO_IGNORED, r->faults.ignored - r->ignored_told);
    }
    if (r->faults.lost > r->lost_told) { io_put_count(&r->out, TAT_IO_LOST, r->faults.lost - r->lost_told); }
    const size_t bytes = (size_t) (r->out.at - r->block);
    if (bytes && !sink_write(&io_sink, TAT_BLOCK_IO, r->block, bytes)) {
        r->totals.unwritten += r->block_faults;
    } else {
        r->ignored_told = r->faults.ignored;
        r->lost_told = r->faults.lost;
    }
    begin_block(r);
}

static void see(const struct perf_event * event, void * user) {
    struct io_recorder * r = user;
    struct fault f;
    if (!faults_see(&r->faults, event, &f)) { return; }
    const struct tat_io_fault fault = { .end_ns = f.end_ns,
                                        .duration_ns = f.begin_ns ? f.end_ns - f.begin_ns : 0,
                                        .preempted_ns = f.preempted_ns,
                                        .address = f.address,
                                        .pid = f.pid,
                                        .tid = f.tid,
                                        .flags = (f.major ? TAT_IO_MAJOR : 0u) | (f.in_file ? TAT_IO_IN_FILE : 0u) };
    if (!r->block_faults++) { r->block_began_ns = f.end_ns; }
    io_put_fault(&r->out, &r->state, &fault);
    *(f.major ? &r->totals.major : &r->totals.minor) += 1;
    if (f.major) { r->totals.major_ns += fault.duration_ns - fault.preempted_ns; }
    if (r->out.end - r->out.at < 3 * FAULT_MAX || f.end_ns - r->block_began_ns > BLOCK_NS) { write_block(r); }
}

static void * record(void * argument) {
    struct io_recorder * r = argument;
    while (!__atomic_load_n(&r->ending, __ATOMIC_RELAXED)) {
        perf_events_wait(r->events, WAIT_MS);
        perf_events_take(r->events, false, see, r);
        if (r->block_faults && clock_monotonic_ns() - r->block_began_ns > BLOCK_NS) { write_block(r); }
    }
    perf_events_take(r->events, true, see, r);
    return NULL;
}

/* ---- beginning and end ---- */

static void fill_header(struct tat_file_header * h, pid_t pid) {
    struct timespec real;
    memcpy(h->magic, TAT_MAGIC, sizeof h->magic);
    h->version = TAT_FORMAT_VERSION;
    h->header_bytes = TAT_HEADER_BYTES;
    h->byte_order = TAT_BYTE_ORDER;
    h->file_kind = TAT_FILE_IO_EVENTS;
    clock_gettime(CLOCK_REALTIME, &real);
    h->start_realtime_ns = (uint64_t) real.tv_sec * 1000000000u + (uint64_t) real.tv_nsec;
    h->start_monotonic_ns = h->start_tick = clock_monotonic_ns();
    h->ticks_per_second = 1000000000u;
    h->clock = TAT_CLOCK_MONOTONIC;
    h->pid = (uint32_t) pid;
    h->page_bytes = (uint32_t) sysconf(_SC_PAGESIZE);
    if (getrandom(h->run_id, sizeof h->run_id, GRND_NONBLOCK) < 0) { memcpy(h->run_id, &h->start_tick, 8); }
    snprintf(h->producer, sizeof h->producer, "tat %s", TAT_VERSION);
}

static int open_file(const char * folder, pid_t pid, uint64_t most, struct tat_error * error) {
    struct tat_file_header header = { 0 };
    char path[PATH_MAX + 16];
    const char * why;
    fill_header(&header, pid);
    snprintf(path, sizeof path, "%s/io_events.bin", folder);
    return sink_open(&io_sink, path, &header, most, NULL, &why) ? 0 : tat_fail_errno(error, "%s: %s", path, why);
}

/* Signals are for the thread that waits for the program. */
static int start_thread(struct io_recorder * r) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int why = pthread_create(&r->thread, NULL, record, r);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return why;
}

static void nothing(void) {}

struct io_recorder * io_recorder_start(pid_t pid, const char * folder, uint64_t bytes_most, struct tat_error * error) {
    struct io_recorder * r = calloc(1, sizeof *r);
    if (!r) {
        tat_fail(error, TAT_ERROR_SYSTEM, "out of memory");
        return NULL;
    }
    begin_block(r);
    privilege_raise();
    r->events = perf_events_open(pid, error);
    privilege_lower();
    if (r->events && open_file(folder, pid, bytes_most, error) == 0) {
        r->totals.user_only = perf_events_user_only(r->events);
        if (r->totals.user_only) { io_put_mark(&r->out, TAT_IO_PARTIAL); }
        const int why = start_thread(r);
        if (why == 0) { return r; }
        tat_fail(error, TAT_ERROR_SYSTEM, "a thread for I/O events: %s", strerror(why));
        sink_close(&io_sink, nothing);
    }
    perf_events_close(r->events);
    free(r);
    return NULL;
}

void io_recorder_stop(struct io_recorder * r, struct io_totals * totals) {
    *totals = (struct io_totals){ 0 };
    if (!r) { return; }
    __atomic_store_n(&r->ending, true, __ATOMIC_RELAXED);
    pthread_join(r->thread, NULL);
    io_put_mark(&r->out, TAT_IO_END);
    write_block(r);
    sink_close(&io_sink, nothing);
    r->totals.lost = r->faults.lost;
    *totals = r->totals;
    perf_events_close(r->events);
    faults_free(&r->faults);
    free(r);
}
