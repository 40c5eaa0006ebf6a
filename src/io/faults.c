/* SPDX-License-Identifier: MIT
 *
 * A thread is in one fault at a time: it begins, the thread may stop and go on, and it ends.
 */
#include "io/faults.h"

#include <stdlib.h>
#include <string.h>

struct thread_state {
    uint32_t tid;
    uint64_t begin_ns; /* of the fault that it is in; 0: of none */
    uint64_t address;
    uint64_t preempted_ns; /* in that fault */
    uint64_t preempted_at; /* 0: it runs, or waits */
};

struct mapped_file {
    uint32_t pid;
    bool is_code;
    uint64_t address, bytes, inode, device;
};

#define THREADS(f) LIST(struct thread_state, (f)->threads)
#define FILES(f)   LIST(struct mapped_file, (f)->files)

/* NULL: no memory, which costs what the thread tells. */
static struct thread_state * thread_of(struct faults * f, uint32_t tid) {
    for (uint32_t i = 0; i < f->threads.count; i++) {
        if (THREADS(f)[i].tid == tid) { return &THREADS(f)[i]; }
    }
    struct thread_state * t = list_add(&f->threads, sizeof *t);
    if (t) { *t = (struct thread_state){ .tid = tid }; }
    f->lost += !t;
    return t;
}

static void add_file(struct faults * f, const struct mapped_file * file) {
    struct mapped_file * m = list_add(&f->files, sizeof *m);
    f->lost += !m;
    if (m) { *m = *file; }
}

static void forget_thread(struct faults * f, uint32_t tid) {
    for (uint32_t i = 0; i < f->threads.count; i++) {
        if (THREADS(f)[i].tid == tid) { THREADS(f)[i] = THREADS(f)[--f->threads.count]; }
    }
}

/* ---- what is mapped ---- */

/* A file that is mapped where another was takes its place. */
static void map(struct faults * f, const struct perf_event * e) {
    for (uint32_t i = f->files.count; i-- > 0;) {
        struct mapped_file * m = &FILES(f)[i];
        if (m->pid == e->pid && m->address == e->map.address && m->bytes == e->map.bytes) {
            memmove(m, m + 1, (size_t) (&FILES(f)[--f->files.count] - m) * sizeof *m);
        }
    }
    add_file(
        f, &(struct mapped_file){ e->pid, e->map.is_code, e->map.address, e->map.bytes, e->map.inode, e->map.device });
}

static void forget(struct faults * f, uint32_t pid) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < f->files.count; i++) {
        if (FILES(f)[i].pid != pid) { FILES(f)[n++] = FILES(f)[i]; }
    }
    f->files.count = n;
}

static void inherit(struct faults * f, uint32_t pid, uint32_t parent) {
    if (pid == parent) { return; } /* a thread */
    for (uint32_t i = 0, n = f->files.count; i < n; i++) {
        if (FILES(f)[i].pid != parent) { continue; }
        struct mapped_file file = FILES(f)[i];
        file.pid = pid;
        add_file(f, &file);
    }
}

/* A library is mapped as code, too. */
static bool is_library(const struct faults * f, const struct mapped_file * file) {
    for (uint32_t i = 0; i < f->files.count; i++) {
        const struct mapped_file * m = &FILES(f)[i];
        if (m->is_code && m->pid == file->pid && m->inode == file->inode && m->device == file->device) { return true; }
    }
    return false;
}

/* What was mapped last there counts: the kernel does not tell of an end. */
static bool is_in_data(const struct faults * f, uint32_t pid, uint64_t address) {
    for (uint32_t i = f->files.count; i-- > 0;) {
        const struct mapped_file * m = &FILES(f)[i];
        if (m->pid == pid && address - m->address < m->bytes) { return !is_library(f, m); }
    }
    return false;
}

/* ---- faults ---- */

static void see_begin(struct faults * f, const struct perf_event * e) {
    struct thread_state * t = thread_of(f, e->tid);
    if (t) { *t = (struct thread_state){ .tid = e->tid, .begin_ns = e->ns, .address = e->address }; }
}

static bool see_end(struct faults * f, const struct perf_event * e, struct fault * fault) {
    struct thread_state * t = thread_of(f, e->tid);
    *fault = (struct fault){ .pid = e->pid,
                             .tid = e->tid,
                             .major = e->kind == PERF_FAULT_MAJOR,
                             .in_file = is_in_data(f, e->pid, e->address),
                             .end_ns = e->ns,
                             .address = e->address };
    if (t && t->begin_ns && t->begin_ns <= e->ns && t->address == e->address) {
        fault->begin_ns = t->begin_ns;
        fault->preempted_ns = t->preempted_ns < e->ns - t->begin_ns ? t->preempted_ns : e->ns - t->begin_ns;
    }
    if (t) { t->begin_ns = 0; }
    if (fault->major || fault->in_file) { return true; }
    f->ignored++;
    return false;
}

static void see_stop(struct faults * f, const struct perf_event * e) {
    struct thread_state * t = thread_of(f, e->tid);
    if (!t) { return; }
    if (e->kind == PERF_GOES_ON && t->preempted_at && e->ns > t->preempted_at) {
        t->preempted_ns += e->ns - t->preempted_at;
    }
    t->preempted_at = e->kind == PERF_STOPS && e->preempted ? e->ns : 0;
}

/* What a thread did since is not known. */
static void see_loss(struct faults * f, uint64_t count) {
    f->lost += count;
    for (uint32_t i = 0; i < f->threads.count; i++) { THREADS(f)[i].begin_ns = 0; }
}

bool faults_see(struct faults * f, const struct perf_event * e, struct fault * fault) {
    switch (e->kind) {
        case PERF_FAULT_BEGINS: see_begin(f, e); break;
        case PERF_FAULT_MAJOR:
        case PERF_FAULT_MINOR: return see_end(f, e, fault);
        case PERF_STOPS:
        case PERF_GOES_ON: see_stop(f, e); break;
        case PERF_MAPS: map(f, e); break;
        case PERF_EXECS: forget(f, e->pid); break;
        case PERF_FORKS: inherit(f, e->pid, e->parent); break;
        case PERF_EXITS:
            forget_thread(f, e->tid);
            if (e->tid == e->pid) { forget(f, e->pid); }
            break;
        case PERF_LOST: see_loss(f, e->count); break;
        default: break; /* of the whole system */
    }
    return false;
}

void faults_free(struct faults * f) {
    free(f->threads.data);
    free(f->files.data);
    *f = (struct faults){ 0 };
}
