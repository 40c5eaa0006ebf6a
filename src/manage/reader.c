/* SPDX-License-Identifier: MIT */
#include "manage/reader.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "agent/clock.h"
#include "manage/reader_kind.h"

enum { RETRIES_MOST = 1000, NS_PER_S = 1000000000, BEFORE_NS = 1000000 };

/* ---- one read ---- */

/* O_DIRECT needs a whole page to begin at, so the file's last bytes are read twice: the second read proves that no more
 * follow. */
static void ask_for_rest(struct read_slot * s) {
    s->from = s->got - s->got % (uint64_t) sysconf(_SC_PAGESIZE);
    s->n_parts = 0;
    uint64_t skip = s->from;
    for (unsigned i = 0; i < s->job.n_parts; i++) {
        const struct iovec * part = &s->job.part[i];
        if (skip >= part->iov_len) {
            skip -= part->iov_len;
            continue;
        }
        s->part[s->n_parts++] = (struct iovec){ (char *) part->iov_base + skip, part->iov_len - skip };
        skip = 0;
    }
}

/* Behind the end, O_DIRECT leaves old memory, or what the disk holds after the file's last byte. */
static void zero_rest(const struct read_slot * s) {
    uint64_t skip = s->got;
    for (unsigned i = 0; i < s->job.n_parts; i++) {
        const struct iovec * part = &s->job.part[i];
        const uint64_t here = skip < part->iov_len ? skip : part->iov_len;
        memset((char *) part->iov_base + here, 0, part->iov_len - here);
        skip -= here;
    }
}

static bool continues(struct read_slot * s, int64_t result) {
    if (result == -EINTR || result == -EAGAIN) {
        s->error = ++s->retries < RETRIES_MOST ? 0 : (int) -result;
        return s->error == 0;
    }
    if (result < 0) {
        s->error = (int) -result;
        return false;
    }
    const uint64_t end = s->from + (uint64_t) result;
    if (end <= s->got) { return false; } /* the file ends there */
    s->got = end;
    if (s->got >= s->job.bytes) { return false; }
    ask_for_rest(s);
    return true;
}

bool read_slot_went(struct read_slot * s, int64_t result) {
    if (continues(s, result)) { return false; }
    if (s->error == 0 && s->got < s->job.bytes) { zero_rest(s); }
    s->disk_ns = clock_monotonic_ns() - s->began;
    return true;
}

/* ---- the bell ---- */

/* Not a private futex, although no other process uses it. Linux 6.16 and later move to another table for private
 * futexes when the process gets a second thread, and lose what a ring had begun to wait for before. */
void reader_bell_wait(struct reader * r, uint64_t ns) {
    const struct timespec t = { .tv_sec = (time_t) (ns / NS_PER_S), .tv_nsec = (long) (ns % NS_PER_S) };
    syscall(SYS_futex, &r->bell, FUTEX_WAIT, BELL_SLEEPS, &t, NULL, 0);
}

void reader_wake(struct reader * r) {
    if (__atomic_exchange_n(&r->bell, BELL_RUNG, __ATOMIC_ACQ_REL) != BELL_SLEEPS) { return; }
    syscall(SYS_futex, &r->bell, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

static bool falls_asleep(struct reader * r) {
    uint32_t quiet = BELL_QUIET;
    return __atomic_compare_exchange_n(&r->bell, &quiet, BELL_SLEEPS, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

/* ---- the reader ---- */

static int try_engine(struct reader * r, enum reader_kind kind) {
    r->kind = kind;
    r->engine = kind == READER_URING ? &reader_uring : &reader_threads;
    return r->engine->begin(r);
}

static void free_slots(struct reader * r) {
    free(r->slots);
    free(r->idle);
    free(r->over);
    free(r);
}

struct reader * reader_new(enum reader_kind kind, unsigned depth) {
    if (depth == 0 || depth > INT16_MAX) {
        errno = EINVAL;
        return NULL;
    }
    struct reader * r = calloc(1, sizeof *r);
    if (!r) { return NULL; }
    r->depth = depth;
    r->slots = calloc(depth, sizeof *r->slots);
    r->idle = calloc(depth, sizeof *r->idle);
    r->over = calloc(depth, sizeof *r->over);
    int error = ENOMEM;
    if (r->slots && r->idle && r->over) {
        error = try_engine(r, kind == READER_ANY ? READER_URING : kind);
        if (error && kind == READER_ANY) { error = try_engine(r, READER_THREADS); }
    }
    if (error) {
        free_slots(r);
        errno = error;
        return NULL;
    }
    for (r->n_idle = 0; r->n_idle < r->depth; r->n_idle++) { r->idle[r->n_idle] = r->n_idle; }
    return r;
}

/* ---- two engines ---- */

static void exchange_engines(struct reader * r) {
    const struct reader_engine * engine = r->engine;
    void * own = r->own;
    r->engine = r->before;
    r->own = r->own_before;
    r->before = engine;
    r->own_before = own;
}

/* A sandbox, for example, forbids io_uring from some moment on. */
static bool go_on_with_threads(struct reader * r) {
    const unsigned depth = r->depth;
    r->before = &reader_threads;
    r->own_before = NULL;
    exchange_engines(r);
    const int error = r->engine->begin(r);
    r->depth = depth; /* fewer threads may serve as many slots */
    if (!error) { return true; }
    exchange_engines(r);
    r->before = NULL;
    return false;
}

/* What the engine cannot begin, threads do. Fills in slots that could not be read at all, and returns how many. */
static unsigned take_unsent(struct reader * r, unsigned * slots, unsigned most) {
    const unsigned n = r->engine->unsent ? r->engine->unsent(r, slots, most) : 0;
    if (n == 0) { return 0; }
    if (go_on_with_threads(r)) {
        r->n_before = r->depth - r->n_idle - n;
        for (unsigned i = 0; i < n; i++) { r->engine->start(r, slots[i]); }
        return 0;
    }
    for (unsigned i = 0; i < n; i++) { read_slot_went(&r->slots[slots[i]], -EBADF); }
    return n;
}

/* Also what the engine before has read, and cannot continue. */
static unsigned take_before(struct reader * r, unsigned * slots, unsigned most) {
    if (!r->before || !r->n_before) { return 0; }
    exchange_engines(r);
    const unsigned n = r->engine->take(r, slots, most), left = r->engine->unsent(r, slots + n, most - n);
    exchange_engines(r);
    for (unsigned i = 0; i < left; i++) { r->engine->start(r, slots[n + i]); }
    r->n_before -= n + left;
    return n;
}

static void end_engines(struct reader * r) {
    r->engine->end(r);
    if (!r->before) { return; }
    exchange_engines(r);
    r->engine->end(r);
}

/* ---- life ---- */

void reader_free(struct reader * r) {
    if (!r) { return; }
    while (r->n_idle < r->depth) {
        struct read_done done;
        reader_wait(r, &done, 1, NS_PER_S);
    }
    end_engines(r);
    free_slots(r);
}

enum reader_kind reader_kind_of(const struct reader * r) {
    return r->kind;
}

unsigned reader_room(const struct reader * r) {
    return r->n_idle;
}

void reader_start(struct reader * r, const struct read_job * job) {
    const unsigned i = r->idle[--r->n_idle];
    struct read_slot * s = &r->slots[i];
    *s = (struct read_slot){ .job = *job, .began = clock_monotonic_ns() };
    ask_for_rest(s);
    r->engine->start(r, i);
}

static unsigned take(struct reader * r, struct read_done * done, unsigned most) {
    if (most > r->depth) { most = r->depth; }
    unsigned n = r->engine->take(r, r->over, most);
    n += take_before(r, r->over + n, most - n);
    if (n == 0) { n = take_unsent(r, r->over, most); }
    for (unsigned i = 0; i < n; i++) {
        const struct read_slot * s = &r->slots[r->over[i]];
        done[i] = (struct read_done){ s->job.tag, s->error, s->got, s->disk_ns };
        r->idle[r->n_idle++] = r->over[i];
    }
    return n;
}

unsigned reader_wait(struct reader * r, struct read_done * done, unsigned most, uint64_t timeout_ns) {
    const uint64_t began = clock_monotonic_ns();
    for (;;) {
        /* The bell first: then no read that ended before it rang is missed. */
        const bool was_rung = __atomic_exchange_n(&r->bell, BELL_QUIET, __ATOMIC_ACQ_REL) == BELL_RUNG;
        const unsigned n = take(r, done, most);
        const uint64_t waited = clock_monotonic_ns() - began;
        if (n || was_rung || waited >= timeout_ns) { return n; }
        const uint64_t left = timeout_ns - waited;
        if (falls_asleep(r)) { r->engine->sleep(r, r->n_before && left > BEFORE_NS ? BEFORE_NS : left); }
    }
}
