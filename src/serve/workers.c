/* SPDX-License-Identifier: MIT */
#include "serve/workers.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { WORKERS_LEAST = 3, WORKERS_MOST = 16, STOP_SECONDS = 1 };

struct queue {
    struct job * first;
    struct job ** end;
};

struct workers {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct queue queues[PACES];
    unsigned count, running, running_of[PACES];
    bool ending;
    pthread_t threads[WORKERS_MOST];
};

static void queue_add(struct queue * q, struct job * job) {
    job->next = NULL;
    *q->end = job;
    q->end = &job->next;
}

static struct job * queue_take(struct queue * q) {
    struct job * job = q->first;
    if (!job) { return NULL; }
    q->first = job->next;
    if (!q->first) { q->end = &q->first; }
    return job;
}

static bool may_begin(const struct workers * w, enum pace pace) {
    const unsigned long_most = w->count > 2 ? w->count - 2 : 1;
    if (pace == PACE_LONG && w->running_of[PACE_LONG] >= long_most) { return false; }
    return pace == PACE_QUICK || w->running_of[PACE_SLOW] + w->running_of[PACE_LONG] + 1 < w->count;
}

/* What may be begun now, or NULL. */
static struct job * next_job(struct workers * w) {
    struct job * job = NULL;
    for (enum pace pace = PACE_QUICK; pace < PACES && !job; pace++) {
        if (may_begin(w, pace)) { job = queue_take(&w->queues[pace]); }
    }
    return job;
}

static struct job * any_job(struct workers * w) {
    struct job * job = NULL;
    for (enum pace pace = PACE_QUICK; pace < PACES && !job; pace++) { job = queue_take(&w->queues[pace]); }
    return job;
}

static void run_job(struct workers * w, struct job * job) {
    const enum pace pace = job->pace;
    w->running++;
    w->running_of[pace]++;
    pthread_mutex_unlock(&w->lock);
    job->run(job, false);
    pthread_mutex_lock(&w->lock);
    w->running--;
    w->running_of[pace]--;
    pthread_cond_broadcast(&w->changed);
}

static void * work(void * user) {
    struct workers * w = user;
    pthread_mutex_lock(&w->lock);
    while (!w->ending) {
        struct job * job = next_job(w);
        if (job) {
            run_job(w, job);
        } else {
            pthread_cond_wait(&w->changed, &w->lock);
        }
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

struct workers * workers_start(struct tat_error * error) {
    struct workers * w = calloc(1, sizeof *w);
    pthread_condattr_t attributes;
    if (!w) {
        tat_fail_errno(error, "cannot serve");
        return NULL;
    }
    for (enum pace pace = PACE_QUICK; pace < PACES; pace++) { w->queues[pace].end = &w->queues[pace].first; }
    pthread_mutex_init(&w->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&w->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    const unsigned wanted = cores < WORKERS_LEAST  ? WORKERS_LEAST
                            : cores > WORKERS_MOST ? WORKERS_MOST
                                                   : (unsigned) cores;
    pthread_mutex_lock(&w->lock);
    while (w->count < wanted && (errno = pthread_create(&w->threads[w->count], NULL, work, w)) == 0) { w->count++; }
    pthread_mutex_unlock(&w->lock);
    if (w->count >= 2) { return w; }
    tat_fail_errno(error, "cannot start threads");
    workers_stop(w);
    workers_free(w);
    return NULL;
}

void workers_add(struct workers * w, struct job * job) {
    pthread_mutex_lock(&w->lock);
    const bool ending = w->ending;
    if (!ending) { queue_add(&w->queues[job->pace], job); }
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
    if (ending) { job->run(job, true); }
}

bool workers_stop(struct workers * w) {
    struct timespec until;
    struct job * job;
    int status = 0;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += STOP_SECONDS;
    pthread_mutex_lock(&w->lock);
    w->ending = true;
    pthread_cond_broadcast(&w->changed);
    while (w->running && status == 0) { status = pthread_cond_timedwait(&w->changed, &w->lock, &until); }
    const bool idle = w->running == 0;
    pthread_mutex_unlock(&w->lock);
    while ((job = any_job(w))) { job->run(job, true); }
    if (!idle) { return false; }
    for (unsigned i = 0; i < w->count; i++) { pthread_join(w->threads[i], NULL); }
    return true;
}

void workers_free(struct workers * w) {
    if (!w) { return; }
    pthread_cond_destroy(&w->changed);
    pthread_mutex_destroy(&w->lock);
    free(w);
}
