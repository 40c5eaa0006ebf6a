/* SPDX-License-Identifier: MIT
 *
 * Reads by threads that call preadv: one for each read that can be under way at once.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "agent/clock.h"
#include "manage/read_ahead.h"
#include "manage/reader_kind.h"
#include "manage/thread.h"

/* First in, first out, with room for all slots. */
struct slot_queue {
    unsigned * slot;
    unsigned first, count;
};

struct readers {
    struct reader * reader;
    pthread_mutex_t lock;
    pthread_cond_t has_work;
    struct slot_queue work, over;
    bool ends;
    unsigned n;
    pthread_t thread[];
};

static void put(const struct reader * r, struct slot_queue * q, unsigned slot) {
    q->slot[(q->first + q->count++) % r->depth] = slot;
}

static unsigned get(const struct reader * r, struct slot_queue * q) {
    const unsigned slot = q->slot[q->first];
    q->first = (q->first + 1) % r->depth;
    q->count--;
    return slot;
}

static void do_read(struct read_slot * s) {
    ssize_t n;
    if (s->job.how != READ_INTO) {
        s->error = read_ahead(&s->job);
        s->got = s->job.bytes;
        s->disk_ns = clock_monotonic_ns() - s->began;
        return;
    }
    do {
        n = preadv(s->job.fd, s->part, (int) s->n_parts, (off_t) (s->job.offset + s->from));
    } while (!read_slot_went(s, n < 0 ? -errno : n));
}

static void * work(void * argument) {
    struct readers * t = argument;
    struct reader * r = t->reader;
    pthread_mutex_lock(&t->lock);
    for (;;) {
        while (t->work.count == 0 && !t->ends) { pthread_cond_wait(&t->has_work, &t->lock); }
        if (t->work.count == 0) { break; }
        const unsigned slot = get(r, &t->work);
        pthread_mutex_unlock(&t->lock);
        do_read(&r->slots[slot]);
        pthread_mutex_lock(&t->lock);
        put(r, &t->over, slot);
        reader_wake(r); /* under the lock, so that the reader cannot be freed meanwhile */
    }
    pthread_mutex_unlock(&t->lock);
    return NULL;
}

static void end(struct reader * r) {
    struct readers * t = r->own;
    pthread_mutex_lock(&t->lock);
    t->ends = true;
    pthread_cond_broadcast(&t->has_work);
    pthread_mutex_unlock(&t->lock);
    for (unsigned i = 0; i < t->n; i++) { pthread_join(t->thread[i], NULL); }
    pthread_cond_destroy(&t->has_work);
    pthread_mutex_destroy(&t->lock);
    free(t->work.slot);
    free(t->over.slot);
    free(t);
}

static int begin(struct reader * r) {
    struct readers * t = calloc(1, sizeof *t + r->depth * sizeof t->thread[0]);
    if (!t) { return ENOMEM; }
    r->own = t;
    t->reader = r;
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->has_work, NULL);
    t->work.slot = calloc(r->depth, sizeof *t->work.slot);
    t->over.slot = calloc(r->depth, sizeof *t->over.slot);
    int error = t->work.slot && t->over.slot ? 0 : ENOMEM;
    while (!error && t->n < r->depth) {
        error = thread_start(&t->thread[t->n], work, t);
        if (!error) { t->n++; }
    }
    if (t->n == 0) {
        end(r);
        return error;
    }
    r->depth = t->n; /* the threads read it only when there is work */
    return 0;
}

static void start(struct reader * r, unsigned slot) {
    struct readers * t = r->own;
    pthread_mutex_lock(&t->lock);
    put(r, &t->work, slot);
    pthread_cond_signal(&t->has_work);
    pthread_mutex_unlock(&t->lock);
}

static unsigned take(struct reader * r, unsigned * slots, unsigned most) {
    struct readers * t = r->own;
    unsigned n = 0;
    pthread_mutex_lock(&t->lock);
    while (n < most && t->over.count) { slots[n++] = get(r, &t->over); }
    pthread_mutex_unlock(&t->lock);
    return n;
}

const struct reader_engine reader_threads = { begin, end, start, take, NULL, reader_bell_wait };
