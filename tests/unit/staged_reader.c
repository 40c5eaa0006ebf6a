/* SPDX-License-Identifier: MIT */
#include "staged_reader.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "manage/reader.h"
#include "paged_file.h"

enum { JOBS_MOST = 16, THOUSAND = 1000, SHORT_WAIT_NS = 5000000, NS_PER_S = 1000000000 };

struct reader {
    struct read_job job[JOBS_MOST];
    unsigned n_jobs, depth;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct reader reader;
static bool runs, is_held, is_over, was_rung, together;
static unsigned rounds, fault_rate, overlaps, under_way; /* since the thread's last round */
static struct stage_reads reads;
static void (*meanwhile)(void); /* the thread's while it runs */
static uint32_t seed;
static uint64_t file_bytes;

/* For a short time: glibc before 2.41 may lose what wakes a thread (bug 25847). */
static void wait_for_change(void) {
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_nsec += SHORT_WAIT_NS;
    if (end.tv_nsec >= NS_PER_S) {
        end.tv_nsec -= NS_PER_S;
        end.tv_sec++;
    }
    pthread_cond_timedwait(&changed, &lock, &end);
}

/* ---- the test's side ---- */

void stage_begin(uint32_t first_seed, uint64_t bytes, unsigned faults) {
    seed = first_seed;
    file_bytes = bytes;
    fault_rate = faults;
    runs = true;
    is_held = is_over = was_rung = together = false;
    rounds = under_way = 0;
    reads = (struct stage_reads){ 0 };
}

void stage_run(void) {
    pthread_mutex_lock(&lock);
    runs = true;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

void stage_hold(void) {
    stage_step(0);
}

void stage_step(unsigned more) {
    pthread_mutex_lock(&lock);
    runs = false;
    rounds = more;
    pthread_cond_broadcast(&changed);
    while (!is_over && (rounds || !is_held)) { wait_for_change(); }
    pthread_mutex_unlock(&lock);
}

void stage_meanwhile(void (*call)(void)) {
    meanwhile = call;
}

void stage_tell_together(void) {
    together = true;
}

struct stage_reads stage_reads(void) {
    return reads;
}

unsigned stage_overlaps(void) {
    return overlaps;
}

/* ---- the thread's side ---- */

struct reader * __wrap_reader_new(enum reader_kind kind, unsigned depth);
void __wrap_reader_free(struct reader * r);
enum reader_kind __wrap_reader_kind_of(const struct reader * r);
unsigned __wrap_reader_room(const struct reader * r);
void __wrap_reader_start(struct reader * r, const struct read_job * job);
unsigned __wrap_reader_wait(struct reader * r, struct read_done * done, unsigned most, uint64_t timeout_ns);
void __wrap_reader_wake(struct reader * r);

struct reader * __wrap_reader_new(enum reader_kind kind, unsigned depth) {
    (void) kind;
    reader = (struct reader){ .depth = depth < JOBS_MOST ? depth : JOBS_MOST };
    return &reader;
}

/* The thread is about to end. */
void __wrap_reader_free(struct reader * r) {
    (void) r;
    pthread_mutex_lock(&lock);
    is_over = true;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

enum reader_kind __wrap_reader_kind_of(const struct reader * r) {
    (void) r;
    return READER_THREADS;
}

unsigned __wrap_reader_room(const struct reader * r) {
    void (*call)(void) = meanwhile;
    meanwhile = NULL;
    if (call) { call(); }
    return r->depth - r->n_jobs;
}

static bool meet(const struct read_job * a, const struct read_job * b) {
    for (unsigned i = 0; i < a->n_parts; i++) {
        for (unsigned j = 0; j < b->n_parts; j++) {
            const char *x = a->part[i].iov_base, *y = b->part[j].iov_base;
            if (x < y + b->part[j].iov_len && y < x + a->part[i].iov_len) { return true; }
        }
    }
    return false;
}

/* Bytes that belong nowhere: if the memory is still seen anywhere, they are seen there. */
void __wrap_reader_start(struct reader * r, const struct read_job * job) {
    if (r->n_jobs == r->depth) { abort(); }
    reads.added += under_way > 0;
    reads.batches += under_way == 0 && r->n_jobs == 0;
    for (unsigned i = 0; i < r->n_jobs; i++) { overlaps += meet(&r->job[i], job); }
    for (unsigned i = 0; i < job->n_parts; i++) { memset(job->part[i].iov_base, 0xee, job->part[i].iov_len); }
    r->job[r->n_jobs++] = *job;
}

/* The bytes of the file, and zeros behind its end. */
static void fill(const struct read_job * job, uint64_t bytes) {
    uint64_t done = 0;
    for (unsigned i = 0; i < job->n_parts; i++) {
        const uint64_t length = job->part[i].iov_len, left = bytes - done, n = length < left ? length : left;
        paged_fill(job->part[i].iov_base, job->offset + done, n);
        memset((char *) job->part[i].iov_base + n, 0, length - n);
        done += n;
    }
}

static struct read_done end_read(const struct read_job * job) {
    const uint64_t there = file_bytes > job->offset ? file_bytes - job->offset : 0;
    struct read_done done = { .tag = job->tag, .bytes = job->bytes < there ? job->bytes : there };
    const bool fails = dice(&seed, THOUSAND) < fault_rate;
    if (fails) { done.bytes = dice(&seed, (uint32_t) done.bytes); }
    if (fails && dice(&seed, 2)) {
        done.error = EIO;
    } else {
        fill(job, done.bytes);
    }
    return done;
}

static unsigned end_all_reads(struct reader * r, struct read_done * done, unsigned most, bool some) {
    unsigned n = 0;
    if (r->n_jobs > most || (!some && dice(&seed, 2))) { return 0; }
    while (n < r->n_jobs) {
        done[n] = end_read(&r->job[n]);
        n++;
    }
    r->n_jobs = 0;
    return n;
}

/* Any of them, in any order; `some`: one at least. */
static unsigned end_reads(struct reader * r, struct read_done * done, unsigned most, bool some) {
    unsigned n = 0;
    while (r->n_jobs && n < most && ((some && n == 0) || dice(&seed, 3))) {
        const unsigned i = dice(&seed, r->n_jobs);
        done[n++] = end_read(&r->job[i]);
        r->job[i] = r->job[--r->n_jobs];
    }
    return n;
}

unsigned __wrap_reader_wait(struct reader * r, struct read_done * done, unsigned most, uint64_t timeout_ns) {
    (void) timeout_ns;
    pthread_mutex_lock(&lock);
    is_held = true;
    pthread_cond_broadcast(&changed);
    while (!runs && !rounds) { wait_for_change(); }
    is_held = false;
    if (rounds) { rounds--; }
    if (runs && !r->n_jobs && !was_rung) { wait_for_change(); }
    was_rung = false;
    const unsigned n = (together ? end_all_reads : end_reads)(r, done, most, runs);
    under_way = r->n_jobs;
    pthread_mutex_unlock(&lock);
    return n;
}

void __wrap_reader_wake(struct reader * r) {
    (void) r;
    pthread_mutex_lock(&lock);
    was_rung = true;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}
