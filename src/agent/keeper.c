/* SPDX-License-Identifier: MIT */
#include "agent/keeper.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <time.h>

enum { CHORES_MAX = 8, PAUSE_NS = 20 * 1000 * 1000 };

struct chore {
    keeper_chore * call;
    void * object;
    uint64_t asked; /* by which call of keeper_add: another object may begin where one has ended */
};

/* Taken inside the locks of those who add chores, so the thread calls nothing while it holds it. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct chore chores[CHORES_MAX];
static unsigned n_chores;
static uint64_t asked;
static bool running;

/* Copies the chores. With none left, the thread is about to end. */
static unsigned look(struct chore now[CHORES_MAX]) {
    pthread_mutex_lock(&lock);
    const unsigned count = n_chores;
    for (unsigned i = 0; i < count; i++) { now[i] = chores[i]; }
    if (count == 0) { running = false; }
    pthread_mutex_unlock(&lock);
    return count;
}

/* Leaves a chore that was asked for again after the keeper looked at it. */
static void drop(const struct chore * ended) {
    pthread_mutex_lock(&lock);
    unsigned left = 0;
    for (unsigned i = 0; i < n_chores; i++) {
        if (chores[i].asked != ended->asked) { chores[left++] = chores[i]; }
    }
    n_chores = left;
    pthread_mutex_unlock(&lock);
}

static void * keep(void * unused) {
    (void) unused;
    prctl(PR_SET_NAME, "tat-keeper");
    const struct timespec pause = { .tv_nsec = PAUSE_NS };
    struct chore now[CHORES_MAX];
    for (unsigned count; (count = look(now)) > 0;) {
        nanosleep(&pause, NULL);
        for (unsigned i = 0; i < count; i++) {
            if (!now[i].call(now[i].object)) { drop(&now[i]); }
        }
    }
    return NULL;
}

static int start(void) {
    pthread_t thread;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    const int error = pthread_create(&thread, &attributes, keep, NULL);
    pthread_attr_destroy(&attributes);
    return error;
}

bool keeper_add(keeper_chore * chore, void * object) {
    int error = 0;
    pthread_mutex_lock(&lock);
    unsigned i = 0;
    while (i < n_chores && (chores[i].call != chore || chores[i].object != object)) { i++; }
    if (i == CHORES_MAX) {
        error = EMFILE;
    } else {
        chores[i] = (struct chore){ chore, object, ++asked };
        if (!running) { error = start(); }
        running = error == 0;
        if (running && i == n_chores) { n_chores++; }
    }
    pthread_mutex_unlock(&lock);
    errno = error;
    return error == 0;
}

void keeper_after_fork(void) {
    pthread_mutex_init(&lock, NULL);
    n_chores = 0;
    running = false;
}
