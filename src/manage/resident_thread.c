/* SPDX-License-Identifier: MIT
 *
 * The thread that loads and drops pieces: what it does when, and with which of them.
 */
#include "agent/clock.h"
#include "manage/resident_piece.h"
#include "manage/resident_stream.h"
#include "manage/thread.h"
#include "plan/reading.h"

enum { DONE_MOST = 32, IDLE_NS = 200000000 };

/* ---- what is wanted ---- */

static void queue_wanted(struct resident * r, struct held * h) {
    if (h->is_queued) { return; }
    h->is_queued = true;
    r->wanted.piece[r->wanted.end++ % r->wanted.capacity] = (uint32_t) (h - r->piece);
}

static void do_drop(struct resident * r, struct held * h) {
    piece_set_leaving(h, false);
    if (piece_keep_expected(r, h)) { return; }
    switch ((enum piece_state) piece_state_of(h)) {
        case PIECE_IN: piece_leave(r, h); return;
        case PIECE_LOADING: h->drop_after = true; return;
        case PIECE_ASKED: piece_set_state(h, PIECE_ABSENT); return;
        case PIECE_ABSENT:
        case PIECE_LOST: return;
    }
}

static void do_want(struct resident * r, struct held * h) {
    piece_end_guess(r, h, true);
    piece_set_spare(h, false);
    piece_stay(r, h);
    piece_end_unasked(r, h);
    switch ((enum piece_state) piece_state_of(h)) {
        case PIECE_LOADING: h->drop_after = false; return;
        case PIECE_ABSENT:
            piece_set_state(h, PIECE_ASKED);
            queue_wanted(r, h);
            return;
        case PIECE_ASKED: queue_wanted(r, h); return;
        case PIECE_IN:
        case PIECE_LOST: return;
    }
}

/* Under the lock. */
static void take_asked(struct resident * r) {
    struct piece_queue * q = &r->asked;
    r->n_taken = 0;
    for (; q->first < q->end; q->first++) {
        struct held * h = &r->piece[q->piece[q->first % q->capacity]];
        r->taken[r->n_taken++] = (struct taken){ h, (enum piece_ask) h->ask };
        if (h->ask == ASK_DROP) { piece_set_leaving(h, true); }
        __atomic_store_n(&h->ask, ASK_NOTHING, __ATOMIC_RELAXED);
    }
}

static void do_wants(struct resident * r) {
    for (uint32_t i = 0; i < r->n_taken; i++) {
        if (r->taken[i].what == ASK_WANT) { do_want(r, r->taken[i].piece); }
    }
}

static void do_drops(struct resident * r) {
    for (uint32_t i = 0; i < r->n_taken; i++) {
        if (r->taken[i].what == ASK_DROP) { do_drop(r, r->taken[i].piece); }
    }
}

static void pop_wanted(struct resident * r) {
    r->piece[r->wanted.piece[r->wanted.first++ % r->wanted.capacity]].is_queued = false;
}

static bool start_wanted(struct resident * r) {
    bool some = false;
    for (; r->wanted.first < r->wanted.end && reader_room(r->reader); pop_wanted(r)) {
        struct held * h = &r->piece[r->wanted.piece[r->wanted.first % r->wanted.capacity]];
        if (piece_state_of(h) != PIECE_ASKED) { continue; }
        if (!piece_start(r, h)) {
            r->lacks_room = true;
            break;
        }
        if (h->in_ring) { piece_enter_ring(r, h, 0); } /* it may go as soon as there is no room */
        some = true;
    }
    return some;
}

static bool do_asked(struct resident * r) {
    do_wants(r);
    do_drops(r);
    const bool some = start_wanted(r);
    r->drops_seen = r->totals.drops;
    return some;
}

/* ---- what nobody has asked for yet ---- */

/* Whether there is room beside what streams and what will be wanted. */
static bool has_spare_room(const struct resident * r, const struct held * h) {
    const uint64_t ring_free = r->ring_pages > r->ring_used ? r->ring_pages - r->ring_used : 0;
    return r->by->room(r).pages_free >= h->is.pages + r->scratch_pages + ring_free;
}

/* What is needed is to be read, or is being read. */
static bool is_needed(const struct resident * r) {
    return r->wanted.first < r->wanted.end || r->in_flight > r->n_unasked;
}

/* While the program waits for the disk anyway: dropping takes a processor from it. */
static void drop_leaving(struct resident * r) {
    while (is_needed(r) && piece_drop_leaving(r)) {}
}

/* One after the other in the order of the file, which the disk likes best; few at once, so that what is wanted
 * meanwhile does not wait for long. Drops nothing for it, and never comes back to a piece that went. */
static void fill(struct resident * r) {
    enum { AT_ONCE = 2 };
    if (is_needed(r)) { return; }
    for (; r->n_unasked < AT_ONCE && reader_room(r->reader) && r->fill_next < r->n_pieces; r->fill_next++) {
        struct held * h = &r->piece[r->fill_next];
        if ((h->is.class != PLACE_PIN && h->is.class != PLACE_CACHE) || piece_state_of(h) != PIECE_ABSENT) { continue; }
        if (!has_spare_room(r, h) || !r->by->take(r, h) || !r->by->may_put(r, h)) { return; }
        piece_set_spare(h, h->is.class == PLACE_CACHE);
        r->spare_end = r->fill_next + 1;
        piece_begin_unasked(r, h);
    }
}

/* ---- what is expected ---- */

/* Under the lock. */
static void take_expected(struct resident * r) {
    if (!r->expects) { return; }
    r->expects = false;
    for (uint32_t i = 0; i < r->n_hoped; i++) { r->piece[r->hoped[i]].is_hoped = false; }
    r->n_hoped = r->n_expected;
    r->next_hoped = 0;
    for (uint32_t i = 0; i < r->n_hoped; i++) {
        r->hoped[i] = r->expected[i];
        r->piece[r->hoped[i]].is_hoped = true;
    }
}

/* What was expected and did not come makes room. */
static void drop_unexpected(struct resident * r) {
    for (uint32_t i = r->n_guesses; i-- > 0;) {
        struct held * h = &r->piece[r->guesses[i]];
        const uint32_t state = piece_state_of(h);
        if (state == PIECE_LOADING) { h->drop_after = !h->is_hoped; }
        if (state == PIECE_IN && !h->is_hoped) { piece_drop(r, h); }
    }
}

/* Only while nothing that is needed is to be read, as a read cannot be taken back. No guess goes for another one. */
static void start_expected(struct resident * r) {
    for (; r->next_hoped < r->n_hoped && r->n_unasked < READING_GUESSES_AT_ONCE; r->next_hoped++) {
        struct held * h = &r->piece[r->hoped[r->next_hoped]];
        if (is_needed(r)) { return; }
        if (h->is.class != PLACE_CACHE || piece_state_of(h) != PIECE_ABSENT) { continue; }
        while (!r->by->take(r, h)) {
            if (piece_drop_leaving(r) || piece_drop_spare(r)) { continue; }
            r->lacks_room = true;
            return;
        }
        if (!r->by->may_put(r, h)) { return; }
        piece_make_guess(r, h, GUESS_READ);
        resident_add(&r->totals.ahead_read, resident_bytes(r, h));
        piece_begin_unasked(r, h);
    }
}

/* ---- more memory, or less ---- */

/* What was pinned and is streamed from now on counts as passed. */
static void change_class(struct resident * r, struct held * h, uint8_t class) {
    const uint32_t state = piece_state_of(h);
    const uint8_t before = h->is.class;
    if (before == class) { return; }
    h->is.class = class;
    if (class != PLACE_CACHE) {
        piece_end_guess(r, h, false);
        piece_set_spare(h, false);
        piece_set_leaving(h, false);
    }
    if (state == PIECE_IN || state == PIECE_LOADING) {
        piece_set_in_ring(r, h, class == PLACE_STREAM);
        h->entry = NO_PLACE; /* the ring's queue may still have it */
        if (class == PLACE_STREAM) { piece_enter_ring(r, h, 0); }
        if (class == PLACE_LEAVE) { do_drop(r, h); }
    }
    if (class == PLACE_LEAVE || before == PLACE_LEAVE) { piece_advise(r, h); }
}

static void begin_to_resize(struct resident * r) {
    for (uint32_t i = 0; i < r->n_pieces; i++) { change_class(r, &r->piece[i], r->classes[i]); }
    r->pool_pages = r->new_pool / r->page_bytes;
    r->ring_pages = r->new_ring / r->page_bytes;
    r->scratch_pages = r->new_scratch / r->page_bytes;
    r->fill_next = 0;
    r->resizes = false;
    const uint32_t pages = r->by->room(r).pages;
    if (pages < r->pool_pages) { r->by->grow(r, (uint32_t) (r->pool_pages - pages)); }
}

static void tell_room(struct resident * r) {
    const struct resident_room room = r->by->room(r);
    const uint64_t bytes = (uint64_t) room.pages * r->page_bytes;
    const bool is_news = bytes != r->totals.pool;
    __atomic_store_n(&r->totals.pool, bytes, __ATOMIC_RELEASE); /* after the memory was given back */
    __atomic_store_n(&r->totals.pool_free, (uint64_t) room.pages_free * r->page_bytes, __ATOMIC_RELAXED);
    __atomic_store_n(&r->totals.pool_unused, (uint64_t) room.pages_unused * r->page_bytes, __ATOMIC_RELAXED);
    __atomic_store_n(&r->totals.pool_cached, (uint64_t) room.pages_cached * r->page_bytes, __ATOMIC_RELAXED);
    if (is_news) { resident_news(r); }
}

static void shrink(struct resident * r) {
    stream_shrink(r);
    const uint32_t pages = r->by->room(r).pages;
    while (r->by->room(r).pages_free + r->pool_pages < pages && piece_drop_unneeded(r)) {}
    if (pages > r->pool_pages) { r->by->shrink(r, (uint32_t) (pages - r->pool_pages)); }
}

/* ---- what was read ---- */

static bool is_awaited(const struct resident * r, const struct read_done * done) {
    return done->tag == __atomic_load_n(&r->awaited_piece, __ATOMIC_RELAXED);
}

/* The disk has work again before what came is mapped; and who waits goes on before the rest of it is. */
static void take_reads(struct resident * r) {
    struct read_done done[DONE_MOST];
    const uint32_t under_way = r->in_flight;
    const unsigned n = reader_wait(r->reader, done, DONE_MOST, IDLE_NS);
    __atomic_store_n(&r->is_blocked, false, __ATOMIC_RELAXED);
    __atomic_store_n(&r->tell_from, NO_PLACE, __ATOMIC_RELAXED);
    if (!n) { return; }
    stream_note_ended(r, n, under_way);
    for (unsigned i = 0; i < n; i++) {
        piece_read_ended(r, &done[i]);
        if (!is_awaited(r, &done[i])) { continue; }
        const struct read_done first = done[i];
        done[i] = done[0];
        done[0] = first;
    }
    if (r->wanted.first == r->wanted.end) { stream_next(r); }
    for (unsigned i = 0; i < n; i++) {
        piece_finish(r, &done[i]);
        if (is_awaited(r, &done[i])) { resident_news(r); }
    }
    resident_news(r);
}

/* ---- the loop ---- */

static bool lies_in(const struct resident * r, const struct held * h, const struct forgotten * f) {
    const struct mapped_file * m = resident_mapping(r, h);
    return m->at && m->at < f->at + f->bytes && f->at < m->at + m->bytes;
}

/* Waits for the reads under way. */
static void drain(struct resident * r) {
    while (r->in_flight) {
        struct read_done done[DONE_MOST];
        const unsigned n = reader_wait(r->reader, done, DONE_MOST, IDLE_NS);
        for (unsigned i = 0; i < n; i++) {
            piece_read_ended(r, &done[i]);
            piece_finish(r, &done[i]);
        }
    }
}

/* All of a mapping goes, even if the program unmaps a part of it only: what is there is right, and stays. */
static void forget(struct resident * r) {
    if (r->by->reads_in_mapping) { drain(r); }
    for (uint32_t i = 0; i < r->n_pieces; i++) {
        struct held * h = &r->piece[i];
        if (!lies_in(r, h, &r->forgotten)) { continue; }
        piece_end_guess(r, h, false);
        const uint32_t state = piece_state_of(h);
        if (state == PIECE_IN && r->by->remove(r, h, 1)) {
            piece_give_memory(r, h);
        } /* else it stays until it is unmapped */
        piece_set_state(h, PIECE_LOST);
    }
    for (uint32_t i = 0; i < r->n_files; i++) {
        struct mapped_file * m = &r->files[i].mapped;
        if (!m->at || m->at >= r->forgotten.at + r->forgotten.bytes || r->forgotten.at >= m->at + m->bytes) {
            continue;
        }
        r->by->end_file(m);
        __atomic_store_n(&m->at, NULL, __ATOMIC_RELAXED);
    }
    bool some_left = false;
    for (uint32_t i = 0; i < r->n_files; i++) { some_left |= r->files[i].mapped.at != NULL; }
    if (!some_left) { r->hands_back = true; }
    r->forgotten.is_pending = false;
}

/* False: the end. */
static bool listen(struct resident * r) {
    pthread_mutex_lock(&r->lock);
    __atomic_store_n(&r->is_blocked, true, __ATOMIC_SEQ_CST); /* before it looks what there is room for */
    take_asked(r);
    if (r->now != r->order || r->now_begin != r->order_begin) {
        r->now = r->order;
        r->now_begin = r->order_begin;
        __atomic_store_n(&r->ahead, r->now_begin, __ATOMIC_RELEASE);
    }
    const uint64_t passed = __atomic_load_n(&r->passed, __ATOMIC_RELAXED);
    if (r->ahead < passed && r->now) { __atomic_store_n(&r->ahead, passed, __ATOMIC_RELEASE); }
    if (r->resizes) { begin_to_resize(r); }
    take_expected(r);
    const bool forgets = r->forgotten.is_pending;
    if (forgets) { forget(r); }
    if (r->hands_back) { r->failures = FAILURES_MOST; }
    const bool goes_on = !r->stops;
    pthread_mutex_unlock(&r->lock);
    if (forgets) { resident_news(r); }
    return goes_on;
}

/* What is in memory is what the file was. */
static void look_at_files(struct resident * r) {
    enum { LOOK_NS = 20000000 };
    const uint64_t now = clock_monotonic_ns();
    if (now - r->looked_ns < LOOK_NS) { return; }
    r->looked_ns = now;
    if (resident_files_are_same(r)) { return; }
    r->why = "the model's file has changed";
    r->failures = FAILURES_MOST;
}

/* Something that it has not listened to yet. Whoever waits has told everything before. */
static bool is_told(struct resident * r) {
    pthread_mutex_lock(&r->lock);
    const bool is = r->asked.first < r->asked.end || r->now != r->order || r->now_begin != r->order_begin ||
                    r->resizes || r->hands_back || r->stops || r->forgotten.is_pending;
    pthread_mutex_unlock(&r->lock);
    return is;
}

/* Nothing is under way and nothing could be started: whoever waits would wait for ever. False: nobody was released, and
 * there is nothing else to try. */
static bool release_waiting(struct resident * r) {
    if (!__atomic_load_n(&r->waiting, __ATOMIC_SEQ_CST)) { return false; }
    const uint64_t awaited = __atomic_load_n(&r->awaited, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&r->passed, __ATOMIC_SEQ_CST) != r->passed_seen || awaited != r->awaited_seen ||
        r->totals.drops != r->drops_seen || is_told(r)) {
        return true; /* there may be room now, or something to read */
    }
    if (r->wanted.first < r->wanted.end) {
        piece_set_state(&r->piece[r->wanted.piece[r->wanted.first % r->wanted.capacity]], PIECE_ABSENT);
        pop_wanted(r);
    } else if (awaited != NO_PLACE && awaited >= r->ahead && r->now) {
        __atomic_store_n(&r->ahead, r->ahead + 1, __ATOMIC_RELEASE);
    } else {
        return false;
    }
    resident_add(&r->totals.given_up, 1);
    resident_news(r);
    return true;
}

/* Where its mapping could not be put back as a whole, piece by piece. */
static void hand_back_piece(struct resident * r, struct held * h, bool is_back) {
    const uint32_t state = piece_state_of(h);
    if (state == PIECE_IN && (is_back || r->by->remove(r, h, 1))) { piece_give_memory(r, h); }
    piece_set_state(h, PIECE_LOST);
}

/* The file everywhere, and the memory given back. */
static void hand_back(struct resident * r) {
    drain(r);
    for (uint32_t i = 0; i < r->n_files; i++) {
        struct mapped_file * m = &r->files[i].mapped;
        const bool is_back = !m->at || r->by->remove_all(r, m);
        for (uint32_t p = 0; p < r->n_pieces; p++) {
            if (r->piece[p].is.file == i) { hand_back_piece(r, &r->piece[p], is_back); }
        }
        if (m->at && is_back) { r->by->end_file(m); }
    }
    r->by->shrink(r, r->by->room(r).pages_free); /* what nothing lies in any more */
    tell_room(r);
}

void * resident_thread(void * argument) {
    struct resident * r = argument;
    resident_own_thread = true;
    thread_be_prompt(); /* the disk is idle until it does something, and others spin meanwhile */
    const int error = resident_open(r);
    if (error) { resident_close(r); }
    __atomic_store_n(&r->started, error, __ATOMIC_RELEASE);
    if (!error) { pieces_advise(r); }
    resident_news(r);
    if (error) { return NULL; }
    while (listen(r) && r->failures < FAILURES_MOST) {
        look_at_files(r);
        r->lacks_room = false;
        const bool wanted = do_asked(r), streamed = stream_next(r);
        drop_unexpected(r);
        if (r->by->room(r).pages > r->pool_pages) { shrink(r); }
        tell_room(r);
        if (!wanted) { start_expected(r); }
        if (!wanted && !streamed) {
            resident_news(r); /* it may have looked at what is in memory already */
            if (!r->in_flight && release_waiting(r)) { continue; }
            fill(r);
        }
        drop_leaving(r);
        if (!r->lacks_room) { __atomic_store_n(&r->is_blocked, false, __ATOMIC_RELAXED); }
        take_reads(r);
    }
    hand_back(r);
    __atomic_store_n(&r->is_broken, true, __ATOMIC_RELEASE);
    resident_news(r);
    while (listen(r)) { /* a model that is unmapped is still to be forgotten */
        struct read_done done;
        reader_wait(r->reader, &done, 1, IDLE_NS);
    }
    resident_close(r);
    return NULL;
}
