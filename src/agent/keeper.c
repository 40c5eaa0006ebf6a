/* SPDX-License-Identifier: MIT */
#include "agent/keeper.h"

#include <errno.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <time.h>

enum { SINKS_MAX = 8, TICK_NS = 20 * 1000 * 1000 };

/* Taken inside a sink's lock, so a sink's lock is never taken inside this one. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct sink * kept[SINKS_MAX];
static unsigned n_kept;
static bool running;

static unsigned look(struct sink * sinks[SINKS_MAX]) {
    pthread_mutex_lock(&lock);
    const unsigned count = n_kept;
    for (unsigned i = 0; i < count; i++) { sinks[i] = kept[i]; }
    if (count == 0) { running = false; }
    pthread_mutex_unlock(&lock);
    return count;
}

static void drop(const struct sink * sink) {
    pthread_mutex_lock(&lock);
    unsigned left = 0;
    for (unsigned i = 0; i < n_kept; i++) {
        if (kept[i] != sink) { kept[left++] = kept[i]; }
    }
    n_kept = left;
    pthread_mutex_unlock(&lock);
}

static void * keep(void * unused) {
    (void) unused;
    prctl(PR_SET_NAME, "tat-keeper");
    const struct timespec pause = { .tv_nsec = TICK_NS };
    struct sink * sinks[SINKS_MAX];
    for (unsigned count; (count = look(sinks)) > 0;) {
        nanosleep(&pause, NULL);
        for (unsigned i = 0; i < count; i++) {
            if (!sink_keep_ahead(sinks[i])) {
                drop(sinks[i]);
            } else if (sinks[i]->tick) {
                sinks[i]->tick();
            }
        }
    }
    return NULL;
}

/* It inherits the blocked signals: the keeper takes none of the host's. */
static int start(void) {
    pthread_t thread;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    const int error = pthread_create(&thread, &attributes, keep, NULL);
    pthread_attr_destroy(&attributes);
    return error;
}

bool keeper_add(struct sink * sink) {
    int error = 0;
    pthread_mutex_lock(&lock);
    if (n_kept == SINKS_MAX) {
        error = EMFILE;
    } else {
        kept[n_kept++] = sink;
        if (!running) { error = start(); }
        running = error == 0;
        if (error) { n_kept--; }
    }
    pthread_mutex_unlock(&lock);
    errno = error;
    return error == 0;
}

void keeper_after_fork(void) {
    pthread_mutex_init(&lock, NULL);
    n_kept = 0;
    running = false;
}
