/* SPDX-License-Identifier: MIT */
#include "manage/resident.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "agent/clock.h"
#include "manage/resident_state.h"
#include "manage/thread.h"

enum { WAIT_NS = 50000000, POOL_WAITS_MOST = 2 };
#define WAIT_MOST_NS UINT64_C(10000000000)

/* ---- waiting ---- */

static void futex_wait(const uint32_t * word, uint32_t seen) {
    const struct timespec most = { .tv_nsec = WAIT_NS };
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, seen, &most, NULL, 0);
}

/* ---- life ---- */

/* All of the process: pages that are read when they are touched are among it. */
static uint64_t disk_bytes(void) {
    enum { BLOCK = 512 };
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? (uint64_t) usage.ru_inblock * BLOCK : 0;
}

static bool queue_begin(struct piece_queue * q, uint32_t capacity, bool with_places) {
    q->capacity = capacity ? capacity : 1;
    q->piece = calloc(q->capacity, sizeof *q->piece);
    q->place = with_places ? calloc(q->capacity, sizeof *q->place) : NULL;
    return q->piece && (q->place || !with_places);
}

static void queue_end(struct piece_queue * q) {
    free(q->piece);
    free(q->place);
}

static void free_memory(struct resident * r) {
    queue_end(&r->asked);
    queue_end(&r->wanted);
    queue_end(&r->leaving);
    queue_end(&r->ring);
    free(r->expected);
    free(r->hoped);
    free(r->guesses);
    free(r->classes);
    free(r->taken);
    free(r->compare);
    free(r->piece);
    free(r->files);
    free(r);
}

static bool copy_options(struct resident * r, const struct resident_options * o) {
    enum { RING_PLACES = 2 }; /* a piece may be in the ring's queue for places that it no longer has */
    uint32_t most = 0;
    r->files = malloc((o->n_files + 1) * sizeof *r->files);
    r->piece = calloc((size_t) o->n_pieces + 1, sizeof *r->piece);
    if (!r->files || !r->piece) { return false; }
    memcpy(r->files, o->files, o->n_files * sizeof *r->files);
    for (uint32_t i = 0; i < o->n_pieces; i++) {
        r->piece[i] = (struct held){ .is = o->pieces[i], .entry = NO_PLACE };
        if (o->pieces[i].pages > most) { most = o->pieces[i].pages; }
    }
    r->n_files = o->n_files;
    r->n_pieces = o->n_pieces;
    r->ring_pages = o->ring / r->page_bytes;
    r->pool_pages = o->pool / r->page_bytes + 1;
    r->scratch_pages = o->scratch / r->page_bytes;
    r->totals.pool = o->pool;
    r->classes = calloc((size_t) o->n_pieces + 1, sizeof *r->classes);
    r->taken = calloc((size_t) o->n_pieces + 1, sizeof *r->taken);
    r->expected = calloc((size_t) o->n_pieces + 1, sizeof *r->expected);
    r->hoped = calloc((size_t) o->n_pieces + 1, sizeof *r->hoped);
    r->guesses = calloc((size_t) o->n_pieces + 1, sizeof *r->guesses);
    r->check = o->check;
    r->on_demand = o->on_demand;
    r->reads_ahead = o->reads_ahead;
    r->pool_bytes = o->pool;
    r->pool_most = o->pool_most;
    r->reader_wanted = o->reader;
    r->depth = o->depth;
    r->how = o->ahead;
    r->locks = o->locks;
    r->by = o->ahead == READ_INTO ? &resident_in_place : &resident_page_cache;
    if (o->ahead != READ_INTO) { r->reader_wanted = READER_THREADS; }
    r->compare = o->check ? malloc((size_t) most * r->page_bytes + 1) : NULL;
    return queue_begin(&r->asked, o->n_pieces, false) && queue_begin(&r->wanted, o->n_pieces, false) &&
           queue_begin(&r->leaving, o->n_pieces, false) && queue_begin(&r->ring, RING_PLACES * o->n_pieces, true) &&
           r->classes && r->taken && r->expected && r->hoped && r->guesses && (!o->check || r->compare);
}

static int wait_for_start(struct resident * r) {
    for (;;) {
        const uint32_t seen = __atomic_load_n(&r->news, __ATOMIC_SEQ_CST);
        const int started = __atomic_load_n(&r->started, __ATOMIC_ACQUIRE);
        if (started != NOT_YET) { return started; }
        futex_wait(&r->news, seen);
    }
}

struct resident * resident_new(const struct resident_options * options) {
    struct resident * r = calloc(1, sizeof *r);
    if (!r) { return NULL; }
    r->page_bytes = (uint32_t) sysconf(_SC_PAGESIZE);
    r->awaited = r->tell_from = NO_PLACE;
    r->started = NOT_YET;
    r->disk_bytes_before = disk_bytes();
    r->waiting = 1;
    lock_init(&r->lock);
    int error = copy_options(r, options) ? thread_start(&r->thread, resident_thread, r) : ENOMEM;
    if (!error) {
        error = wait_for_start(r);
        if (error) { pthread_join(r->thread, NULL); }
    }
    __atomic_fetch_sub(&r->waiting, 1, __ATOMIC_RELAXED);
    if (!error) { return r; }
    free_memory(r);
    errno = error;
    return NULL;
}

static void tell(struct resident * r) {
    reader_wake(r->reader);
}

void resident_free(struct resident * r) {
    if (!r) { return; }
    pthread_mutex_lock(&r->lock);
    r->stops = true;
    tell(r); /* under the lock: the thread frees its reader when it has seen it */
    pthread_mutex_unlock(&r->lock);
    pthread_join(r->thread, NULL);
    free_memory(r);
}

void resident_after_fork(struct resident * r) {
    for (uint32_t i = 0; i < r->n_files; i++) {
        if (r->files[i].mapped.at) { r->by->after_fork(&r->files[i].mapped); }
    }
}

/* ---- what threads tell ---- */

uint64_t resident_begin(struct resident * r, const struct resident_order * order) {
    pthread_mutex_lock(&r->lock);
    uint64_t from = __atomic_load_n(&r->passed, __ATOMIC_RELAXED);
    if (order == r->order && order->count) {
        const uint64_t done = from > r->order_begin ? from - r->order_begin : 0;
        from = r->order_begin + (done + order->count - 1) / order->count * order->count;
    } else {
        const uint64_t ahead = __atomic_load_n(&r->ahead, __ATOMIC_RELAXED);
        if (from < ahead) { from = ahead; }
        r->order = order;
        r->order_begin = from;
    }
    __atomic_store_n(&r->passed, from, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&r->lock);
    tell(r);
    return from;
}

void resident_passed(struct resident * r, uint64_t place) {
    __atomic_store_n(&r->passed, place, __ATOMIC_SEQ_CST);
    if (place >= __atomic_load_n(&r->tell_from, __ATOMIC_SEQ_CST)) { tell(r); }
}

/* Under the lock. A piece that is in memory, and stays, needs no telling: where all are, the thread sleeps. */
static bool is_settled(const struct held * h, enum piece_ask what) {
    return what == ASK_WANT && h->ask == ASK_NOTHING && __atomic_load_n(&h->state, __ATOMIC_ACQUIRE) == PIECE_IN &&
           !__atomic_load_n(&h->is_leaving, __ATOMIC_RELAXED) && !__atomic_load_n(&h->is_spare, __ATOMIC_RELAXED);
}

/* Each piece is in the queue once at most, with what was asked of it last. Under the lock. Returns whether the
 * thread has to know. */
static bool ask(struct resident * r, const struct pieces_asked * asked, enum piece_ask what) {
    bool is_news = false;
    for (uint32_t i = 0; i < asked->count; i++) {
        struct held * h = &r->piece[asked->piece[i]];
        if (is_settled(h, what)) { continue; }
        is_news = true;
        if (what == ASK_WANT) {
            uint32_t absent = PIECE_ABSENT;
            __atomic_compare_exchange_n(&h->state, &absent, PIECE_ASKED, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
        }
        if (h->ask == ASK_NOTHING) { r->asked.piece[r->asked.end++ % r->asked.capacity] = asked->piece[i]; }
        __atomic_store_n(&h->ask, (uint8_t) what, __ATOMIC_RELAXED);
    }
    return is_news;
}

/* Under the lock. Returns whether the thread has to know: what goes can wait. */
static bool expect(struct resident * r, const struct pieces_asked * expected) {
    bool is_missing = false;
    r->n_expected = expected->count < r->n_pieces ? expected->count : r->n_pieces;
    for (uint32_t i = 0; i < r->n_expected; i++) {
        r->expected[i] = expected->piece[i];
        is_missing |= __atomic_load_n(&r->piece[r->expected[i]].state, __ATOMIC_RELAXED) == PIECE_ABSENT;
    }
    r->expects = true;
    return is_missing;
}

void resident_exchange(struct resident * r, const struct pieces_asked * dropped, const struct pieces_asked * wanted,
                       const struct pieces_asked * expected) {
    pthread_mutex_lock(&r->lock);
    const bool drops = ask(r, dropped, ASK_DROP), wants = ask(r, wanted, ASK_WANT),
               expects = expected && expect(r, expected);
    pthread_mutex_unlock(&r->lock);
    const bool is_short = drops && __atomic_load_n(&r->is_blocked, __ATOMIC_SEQ_CST);
    if (wants || expects || is_short) { tell(r); }
}

void resident_want(struct resident * r, const uint32_t * pieces, uint32_t count) {
    resident_exchange(r, &(struct pieces_asked){ 0 }, &(struct pieces_asked){ pieces, count }, NULL);
}

void resident_drop(struct resident * r, const uint32_t * pieces, uint32_t count) {
    resident_exchange(r, &(struct pieces_asked){ pieces, count }, &(struct pieces_asked){ 0 }, NULL);
}

void resident_resize(struct resident * r, uint64_t pool, uint64_t ring, uint64_t scratch, const uint8_t * classes) {
    pthread_mutex_lock(&r->lock);
    memcpy(r->classes, classes, r->n_pieces);
    r->new_pool = pool;
    r->new_ring = ring;
    r->new_scratch = scratch;
    r->resizes = true;
    pthread_mutex_unlock(&r->lock);
    tell(r);
}

uint64_t resident_pool_most(const struct resident * r) {
    return r->pool_most;
}

void resident_hand_back(struct resident * r) {
    pthread_mutex_lock(&r->lock);
    r->hands_back = true;
    pthread_mutex_unlock(&r->lock);
    tell(r);
}

/* ---- what they wait for ---- */

void resident_news(struct resident * r) {
    __atomic_fetch_add(&r->news, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&r->waiting, __ATOMIC_SEQ_CST)) {
        syscall(SYS_futex, &r->news, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
    }
}

static bool is_coming(struct resident * r, const struct held * h, uint64_t place) {
    if (__atomic_load_n(&r->is_broken, __ATOMIC_RELAXED)) { return false; }
    const uint32_t state = __atomic_load_n(&h->state, __ATOMIC_ACQUIRE);
    if (state == PIECE_ASKED || state == PIECE_LOADING) { return true; }
    if (state != PIECE_ABSENT) { return false; }
    if (place == NO_PLACE) { return __atomic_load_n(&h->ask, __ATOMIC_RELAXED) == ASK_WANT; }
    /* It may have been read between the two looks. */
    return __atomic_load_n(&r->ahead, __ATOMIC_ACQUIRE) <= place ||
           __atomic_load_n(&h->state, __ATOMIC_ACQUIRE) != PIECE_ABSENT;
}

bool resident_is_in(const struct resident * r, uint32_t piece) {
    return __atomic_load_n(&r->piece[piece].state, __ATOMIC_ACQUIRE) == PIECE_IN;
}

uint64_t resident_wait(struct resident * r, uint32_t piece, uint64_t place) {
    const struct held * h = &r->piece[piece];
    if (resident_is_in(r, piece) || !is_coming(r, h, place)) { return 0; }
    const uint64_t began = clock_monotonic_ns();
    __atomic_fetch_add(&r->waiting, 1, __ATOMIC_SEQ_CST);
    __atomic_store_n(&r->awaited_piece, piece, __ATOMIC_RELAXED);
    __atomic_store_n(&r->awaited, place, __ATOMIC_SEQ_CST);
    tell(r);
    do { /* any number of signals may interrupt it */
        const uint32_t seen = __atomic_load_n(&r->news, __ATOMIC_SEQ_CST);
        if (resident_is_in(r, piece) || !is_coming(r, h, place)) { break; }
        futex_wait(&r->news, seen);
    } while (clock_monotonic_ns() - began < WAIT_MOST_NS);
    __atomic_store_n(&r->awaited, NO_PLACE, __ATOMIC_RELAXED);
    __atomic_fetch_sub(&r->waiting, 1, __ATOMIC_RELAXED);
    return clock_monotonic_ns() - began;
}

void resident_await_pool(struct resident * r, uint64_t bytes) {
    __atomic_fetch_add(&r->waiting, 1, __ATOMIC_SEQ_CST);
    for (unsigned i = 0; i < POOL_WAITS_MOST; i++) {
        const uint32_t seen = __atomic_load_n(&r->news, __ATOMIC_SEQ_CST);
        if (resident_is_broken(r) || __atomic_load_n(&r->totals.pool, __ATOMIC_ACQUIRE) <= bytes) { break; }
        futex_wait(&r->news, seen);
    }
    __atomic_fetch_sub(&r->waiting, 1, __ATOMIC_RELAXED);
}

/* ---- models that go ---- */

/* Without the lock, it may see a mapping that was forgotten meanwhile, but misses none. */
static bool is_ours(const struct resident * r, const char * at, uint64_t bytes) {
    for (uint32_t i = 0; i < r->n_files; i++) {
        const struct mapped_file * m = &r->files[i].mapped;
        const char * from = __atomic_load_n(&m->at, __ATOMIC_RELAXED);
        if (from && from < at + bytes && at < from + m->bytes) { return true; }
    }
    return false;
}

bool resident_forget(struct resident * r, const void * at, uint64_t bytes) {
    /* The handler of a signal may come here while its thread holds the lock. It does not unmap a model, unless it ends
     * the program; then the lock, which is held for good, keeps the thread that manages from doing anything more. */
    if (!is_ours(r, at, bytes) || pthread_mutex_lock(&r->lock) == EDEADLK) { return false; }
    if (!is_ours(r, at, bytes)) {
        pthread_mutex_unlock(&r->lock);
        return false;
    }
    while (r->forgotten.is_pending) { /* another thread's */
        pthread_mutex_unlock(&r->lock);
        sched_yield();
        pthread_mutex_lock(&r->lock);
    }
    r->forgotten = (struct forgotten){ at, bytes, true };
    __atomic_fetch_add(&r->waiting, 1, __ATOMIC_SEQ_CST);
    for (bool pending = true; pending;) {
        const uint32_t seen = __atomic_load_n(&r->news, __ATOMIC_SEQ_CST);
        pthread_mutex_unlock(&r->lock);
        tell(r);
        futex_wait(&r->news, seen);
        pthread_mutex_lock(&r->lock);
        pending = r->forgotten.is_pending;
    }
    __atomic_fetch_sub(&r->waiting, 1, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&r->lock);
    return true;
}

/* ---- figures ---- */

struct resident_totals resident_totals(const struct resident * r) {
    struct resident_totals totals;
    const uint64_t * from = (const uint64_t *) &r->totals;
    uint64_t * to = (uint64_t *) &totals;
    for (size_t i = 0; i < sizeof totals / sizeof *to; i++) { to[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED); }
    if (r->by == &resident_page_cache) { totals.read_bytes = disk_bytes() - r->disk_bytes_before; }
    return totals;
}

bool resident_is_direct(const struct resident * r) {
    return r->is_direct;
}

enum reader_kind resident_reader(const struct resident * r) {
    return r->reader_used;
}

uint64_t resident_lockable(const struct resident * r) {
    return r->lockable;
}

bool resident_is_broken(const struct resident * r) {
    return __atomic_load_n(&r->is_broken, __ATOMIC_ACQUIRE);
}

const char * resident_why_broken(const struct resident * r) {
    return resident_is_broken(r) ? r->why : NULL;
}

_Thread_local bool resident_own_thread;

bool resident_is_this_thread(void) {
    return resident_own_thread;
}
