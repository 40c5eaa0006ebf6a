/* SPDX-License-Identifier: MIT */
#include "io/io_recorder.h"

#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/clock.h"
#include "io/counters.h"
#include "io/faults.h"
#include "io/io_writer.h"
#include "io/page_runs.h"
#include "io/privilege.h"
#include "io/requests.h"
#include "io/run_files.h"
#include "io/system_events.h"

enum { WAIT_MS = 20, COUNT_NS = 250000000 };
enum { SAMPLE_NS = 250000000, SAMPLE_SHARE = 50 }; /* a sample of residency waits that often its own time, at least */

struct io_recorder {
    struct perf_events * events;   /* NULL: refused */
    struct system_events * system; /* the same */
    struct faults faults;
    struct requests requests;
    struct page_runs pages;
    struct run_files files;
    char folder[PATH_MAX];
    struct list threads; /* of the run */
    pthread_t thread;
    bool ending; /* written by io_recorder_stop, relaxed: joining the thread orders the rest */
    struct io_totals totals;
    uint64_t ignored_told;
    struct counters counters;
    uint64_t counters_next_ns, sample_next_ns;
    struct io_writer writer;
};

/* ---- whose it is ---- */

struct own_thread {
    uint32_t tid, pid;
};

#define THREADS(r) LIST(struct own_thread, (r)->threads)

/* Its process; 0: it is none of ours. */
static uint32_t process_of(const struct io_recorder * r, uint32_t tid) {
    for (uint32_t i = 0; i < r->threads.count; i++) {
        if (THREADS(r)[i].tid == tid) { return THREADS(r)[i].pid; }
    }
    return 0;
}

static void add_thread(struct io_recorder * r, uint32_t tid, uint32_t pid) {
    struct own_thread * at = process_of(r, tid) ? NULL : list_add(&r->threads, sizeof *at);
    if (at) { *at = (struct own_thread){ tid, pid }; }
}

static void forget_thread(struct io_recorder * r, uint32_t tid) {
    for (uint32_t i = 0; i < r->threads.count; i++) {
        if (THREADS(r)[i].tid == tid) { THREADS(r)[i] = THREADS(r)[--r->threads.count]; }
    }
}

/* ---- what the kernel tells ---- */

static void see_fault(struct io_recorder * r, const struct fault * f) {
    const struct tat_io_fault fault = { .end_ns = f->end_ns,
                                        .duration_ns = f->begin_ns ? f->end_ns - f->begin_ns : 0,
                                        .preempted_ns = f->preempted_ns,
                                        .address = f->address,
                                        .pid = f->pid,
                                        .tid = f->tid,
                                        .flags = (f->major ? TAT_IO_MAJOR : 0u) | (f->in_file ? TAT_IO_IN_FILE : 0u) };
    io_write_fault(&r->writer, &fault);
    *(f->major ? &r->totals.major : &r->totals.minor) += 1;
    if (f->major) { r->totals.major_ns += fault.duration_ns - fault.preempted_ns; }
}

/* What another process did to a file of ours counts; a file becomes ours when a process of ours brings in a page of it.
 */
static void see_pages(struct io_recorder * r, const struct perf_event * e) {
    const struct run_file * file = run_files_find(&r->files, e->pages.device, e->pages.inode);
    const uint32_t pid = process_of(r, e->tid);
    if (!file && e->kind == PERF_PAGES_COME && pid) {
        file = run_files_add_read(&r->files, e->pages.device, e->pages.inode, (pid_t) pid);
    }
    if (!file || !file->number) { return; }
    const struct tat_io_pages pages = { .ns = e->ns,
                                        .first = e->pages.first,
                                        .count = e->pages.count,
                                        .file = file->number,
                                        .pid = pid,
                                        .tid = e->tid,
                                        .left = e->kind == PERF_PAGES_LEAVE };
    page_runs_add(&r->pages, &pages);
    if (!pages.left && !file->is_tracers) { r->totals.filled_pages += pages.count; }
}

static void write_pages(const struct tat_io_pages * pages, void * user) {
    io_write_pages(user, pages);
}

static void see_request(const struct tat_io_request * request, void * user) {
    struct io_recorder * r = user;
    if (!run_files_on(&r->files, request->disk)) { return; }
    io_write_request(&r->writer, request);
    const struct run_file * model = run_files_largest(&r->files);
    if (request->flags & TAT_IO_WRITE || !model || model->disk != request->disk) { return; }
    r->totals.requests++;
    r->totals.request_bytes += request->bytes;
}

static void see_map(struct io_recorder * r, const struct perf_event * e) {
    if (e->map.is_code || e->map.bytes < RUN_FILE_BYTES_LEAST) { return; }
    run_files_add_mapped(&r->files, e->map.device, e->map.inode, e->map.path);
}

static void see_request_event(struct io_recorder * r, const struct perf_event * e) {
    struct request_event request = e->request;
    request.ns = e->ns;
    request.pid = process_of(r, e->tid);
    switch (e->kind) {
        case PERF_REQUEST_ISSUED: requests_issue(&r->requests, &request); break;
        case PERF_REQUEST_REQUEUED: requests_requeue(&r->requests, &request); break;
        default: requests_complete(&r->requests, &request);
    }
}

static void see_process(struct io_recorder * r, const struct perf_event * e) {
    struct fault fault;
    if (e->kind == PERF_MAPS) { see_map(r, e); }
    if (e->kind == PERF_FORKS) { add_thread(r, e->tid, e->pid); }
    if (e->kind == PERF_EXITS) { forget_thread(r, e->tid); }
    if (e->kind == PERF_FAULT_BEGINS) { page_runs_break(&r->pages, e->tid); }
    if (e->kind == PERF_LOST) { requests_forget(&r->requests); }
    if (faults_see(&r->faults, e, &fault)) { see_fault(r, &fault); }
}

static void see(const struct perf_event * event, void * user) {
    struct io_recorder * r = user;
    switch (event->kind) {
        case PERF_PAGES_COME:
        case PERF_PAGES_LEAVE: see_pages(r, event); break;
        case PERF_REQUEST_ISSUED:
        case PERF_REQUEST_REQUEUED:
        case PERF_REQUEST_COMPLETED: see_request_event(r, event); break;
        default: see_process(r, event);
    }
}

/* ---- the thread ---- */

/* What was lost is told at the end, for which there is room in any file. */
static void tell_ignored(struct io_recorder * r) {
    if (r->faults.ignored > r->ignored_told) {
        io_write_count(&r->writer, TAT_IO_IGNORED, r->faults.ignored - r->ignored_told);
    }
    r->ignored_told = r->faults.ignored;
}

/* Where the page cache tells each page that comes and leaves, the beginning and the end are enough. */
static void sample(struct io_recorder * r, uint64_t now) {
    if (!*r->totals.no_pages || now < r->sample_next_ns) { return; }
    run_files_tell_residency(&r->files);
    const uint64_t took = clock_monotonic_ns() - now;
    r->sample_next_ns = now + (took * SAMPLE_SHARE > SAMPLE_NS ? took * SAMPLE_SHARE : SAMPLE_NS);
}

static void tell_now_and_then(struct io_recorder * r) {
    const uint64_t now = clock_monotonic_ns();
    if (now >= r->counters_next_ns) {
        const struct run_file * model = run_files_largest(&r->files);
        counters_tell(&r->counters, model ? model->disk : 0);
        tell_ignored(r);
        r->counters_next_ns = now + COUNT_NS;
    }
    sample(r, now);
    io_writer_tick(&r->writer);
}

static void add_system_event(const struct perf_event * event, void * user) {
    perf_events_add(user, event);
}

static void take(struct io_recorder * r, bool all) {
    const uint64_t until = all ? UINT64_MAX : clock_monotonic_ns() - PERF_SETTLE_NS;
    if (r->system) { system_events_read(r->system, add_system_event, r->events); }
    if (r->events) { perf_events_take(r->events, until, see, r); }
    page_runs_flush(&r->pages, until);
}

static void * record(void * argument) {
    struct io_recorder * r = argument;
    const struct timespec pause = { 0, WAIT_MS * 1000000L };
    while (!__atomic_load_n(&r->ending, __ATOMIC_RELAXED)) {
        if (r->events) {
            perf_events_wait(r->events, WAIT_MS);
        } else {
            nanosleep(&pause, NULL);
        }
        take(r, false);
        tell_now_and_then(r);
    }
    take(r, true);
    return NULL;
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

/* ---- beginning and end ---- */

static void say_why(char why[static IO_WHY], const char * text) {
    snprintf(why, IO_WHY, "%s", text);
}

/* What cannot be had is said; the others go on. The system's events are put in order with those of the process. */
static void open_sources(struct io_recorder * r, pid_t pid) {
    struct io_totals * t = &r->totals;
    struct tat_error error = { 0 };
    privilege_raise();
    r->events = perf_events_open(pid, &error);
    if (!r->events) { say_why(t->no_faults, error.message); }
    if (r->events) { r->system = system_events_open(&error); }
    privilege_lower();
    say_why(t->no_pages, r->system ? system_events_missing(r->system, TAT_IO_SOURCE_PAGES) : error.message);
    say_why(t->no_requests, r->system ? system_events_missing(r->system, TAT_IO_SOURCE_REQUESTS) : error.message);
    t->user_only = r->events && perf_events_user_only(r->events);
}

static void tell_sources(struct io_recorder * r) {
    const struct io_totals * t = &r->totals;
    if (t->user_only) { io_write_mark(&r->writer, TAT_IO_PARTIAL); }
    io_write_source(&r->writer, TAT_IO_SOURCE_FAULTS, t->no_faults);
    io_write_source(&r->writer, TAT_IO_SOURCE_PAGES, t->no_pages);
    io_write_source(&r->writer, TAT_IO_SOURCE_REQUESTS, t->no_requests);
    io_write_source(&r->writer, TAT_IO_SOURCE_RESIDENCY, "");
    io_write_source(&r->writer, TAT_IO_SOURCE_COUNTERS, "");
}

static void release(struct io_recorder * r) {
    privilege_raise();
    system_events_close(r->system);
    privilege_lower();
    perf_events_close(r->events);
    faults_free(&r->faults);
    requests_end(&r->requests);
    run_files_free(&r->files);
    free(r->threads.data);
    free(r);
}

struct io_recorder * io_recorder_start(const struct io_options * o, struct tat_error * error) {
    struct io_recorder * r = calloc(1, sizeof *r);
    if (!r) {
        tat_fail(error, TAT_ERROR_SYSTEM, "out of memory");
        return NULL;
    }
    r->counters = (struct counters){ .writer = &r->writer, .pid = o->pid };
    r->requests = REQUESTS(see_request, r);
    r->pages = (struct page_runs){ .sink = write_pages, .user = &r->writer };
    if (!realpath(o->folder, r->folder)) { snprintf(r->folder, sizeof r->folder, "%s", o->folder); }
    r->files = (struct run_files){ .writer = &r->writer, .is_private = o->is_private, .folder = r->folder };
    open_sources(r, o->pid); /* while there is one thread: the reaper is forked */
    if (io_writer_open(&r->writer, o->folder, o->pid, o->bytes_most, error) != 0) {
        release(r);
        return NULL;
    }
    add_thread(r, (uint32_t) o->pid, (uint32_t) o->pid);
    tell_sources(r);
    for (size_t i = 0; i < o->n_files; i++) { run_files_expect(&r->files, o->files[i]); }
    const int why = start_thread(r);
    if (why == 0) { return r; }
    tat_fail(error, TAT_ERROR_SYSTEM, "a thread for I/O events: %s", strerror(why));
    io_writer_close(&r->writer, 0);
    release(r);
    return NULL;
}

void io_recorder_stop(struct io_recorder * r, struct io_totals * totals) {
    *totals = (struct io_totals){ 0 };
    if (!r) { return; }
    __atomic_store_n(&r->ending, true, __ATOMIC_RELAXED);
    pthread_join(r->thread, NULL);
    requests_end(&r->requests); /* what parts of open ones were complete goes into the file */
    const struct run_file * model = run_files_largest(&r->files);
    r->totals.on_disk = model && model->disk;
    run_files_tell_late(&r->files);
    run_files_tell_residency(&r->files);
    counters_tell(&r->counters, model ? model->disk : 0);
    counters_tell_run(&r->counters);
    tell_ignored(r);
    io_writer_close(&r->writer, r->faults.lost);
    r->totals.lost = r->faults.lost;
    r->totals.unwritten = r->writer.unwritten;
    *totals = r->totals;
    release(r);
}
