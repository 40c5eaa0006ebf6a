/* SPDX-License-Identifier: MIT */
#include "manage/resident_piece.h"

#include <sys/mman.h>

#include "agent/clock.h"

void resident_add(uint64_t * total, uint64_t by) {
    __atomic_store_n(total, *total + by, __ATOMIC_RELAXED);
}

uint32_t piece_state_of(const struct held * h) {
    return __atomic_load_n(&h->state, __ATOMIC_ACQUIRE);
}

void piece_set_state(struct held * h, enum piece_state state) {
    __atomic_store_n(&h->state, (uint32_t) state, __ATOMIC_RELEASE);
}

const struct mapped_file * resident_mapping(const struct resident * r, const struct held * h) {
    return &r->files[h->is.file].mapped;
}

char * resident_address(const struct resident * r, const struct held * h) {
    return resident_mapping(r, h)->at + (size_t) h->is.page * r->page_bytes;
}

uint64_t resident_offset(const struct resident * r, const struct held * h) {
    return resident_mapping(r, h)->offset + (uint64_t) h->is.page * r->page_bytes;
}

uint64_t resident_bytes(const struct resident * r, const struct held * h) {
    return (uint64_t) h->is.pages * r->page_bytes;
}

/* What is left to the kernel is needed whole, so it may read ahead there as without us, if there is room for it.
 * Elsewhere a fault is by chance, and what is read around it would take memory for nothing. */
void piece_advise(const struct resident * r, const struct held * h) {
    const bool reads_ahead = r->reads_ahead && h->is.class == PLACE_LEAVE;
    const int advice = reads_ahead ? resident_mapping(r, h)->advice : MADV_RANDOM;
    if (resident_mapping(r, h)->at) { madvise(resident_address(r, h), resident_bytes(r, h), advice); }
}

/* Border pages are as what is beside what is left: a fault there reads nothing else. */
void pieces_advise(const struct resident * r) {
    for (uint32_t i = 0; i < r->n_pieces; i++) {
        if (r->piece[i].is.class == PLACE_LEAVE) { piece_advise(r, &r->piece[i]); }
    }
    for (uint32_t i = 0; i < r->n_pieces; i++) {
        if (r->piece[i].is.class != PLACE_LEAVE) { piece_advise(r, &r->piece[i]); }
    }
}

/* ---- dropping ---- */

struct held * resident_neighbour(const struct resident * r, const struct held * h, int step) {
    const int64_t i = (h - r->piece) + step;
    if (i < 0 || i >= r->n_pieces) { return NULL; }
    struct held * n = &r->piece[i];
    const struct held *lower = step < 0 ? n : h, *upper = step < 0 ? h : n;
    const bool touch = n->is.file == h->is.file && upper->is.page < lower->is.page + lower->is.pages;
    return touch && piece_state_of(n) == PIECE_IN ? n : NULL;
}

void piece_set_in_ring(struct resident * r, struct held * h, bool in_ring) {
    if (in_ring && !h->in_ring) { r->ring_used += h->is.pages; }
    if (!in_ring && h->in_ring) { r->ring_used -= h->is.pages; }
    h->in_ring = in_ring;
}

void piece_set_spare(struct held * h, bool is_spare) {
    __atomic_store_n(&h->is_spare, is_spare, __ATOMIC_RELAXED);
}

void piece_set_leaving(struct held * h, bool is_leaving) {
    __atomic_store_n(&h->is_leaving, is_leaving, __ATOMIC_RELAXED);
}

/* ---- guesses ---- */

void piece_make_guess(struct resident * r, struct held * h, enum piece_guess guess) {
    h->guess = (uint8_t) guess;
    piece_set_spare(h, true);
    r->guesses[r->n_guesses++] = (uint32_t) (h - r->piece);
}

bool piece_keep_expected(struct resident * r, struct held * h) {
    const uint32_t state = piece_state_of(h);
    if (!h->is_hoped || h->is.class != PLACE_CACHE || (state != PIECE_IN && state != PIECE_LOADING)) { return false; }
    if (h->guess == GUESS_NOT) { piece_make_guess(r, h, GUESS_KEPT); }
    return true;
}

/* It is wanted, or goes. */
void piece_end_guess(struct resident * r, struct held * h, bool is_wanted) {
    if (h->guess == GUESS_NOT) { return; }
    if (h->guess == GUESS_READ) {
        resident_add(is_wanted ? &r->totals.ahead_used : &r->totals.ahead_wasted, resident_bytes(r, h));
    } else if (is_wanted) {
        resident_add(&r->totals.spared, resident_bytes(r, h));
    }
    uint32_t i = 0;
    while (r->guesses[i] != (uint32_t) (h - r->piece)) { i++; }
    r->n_guesses--;
    for (; i < r->n_guesses; i++) { r->guesses[i] = r->guesses[i + 1]; }
    h->guess = GUESS_NOT;
    piece_set_spare(h, false);
}

/* ---- dropping what is in memory ---- */

void piece_give_memory(struct resident * r, struct held * h) {
    piece_end_guess(r, h, false);
    piece_set_in_ring(r, h, false);
    piece_set_spare(h, false);
    h->entry = NO_PLACE;
    r->by->give(r, h);
}

/* If the file cannot be put back, the memory stays where it is, and the pieces with it. */
bool pieces_drop(struct resident * r, struct held * first, uint32_t count) {
    const uint64_t began = clock_monotonic_ns();
    const bool good = r->by->remove(r, first, count);
    resident_add(&r->totals.map_ns, clock_monotonic_ns() - began);
    if (!good) { return false; }
    for (struct held * h = first; h < first + count; h++) {
        piece_set_state(h, PIECE_ABSENT);
        resident_add(&r->totals.drops, 1);
        piece_give_memory(r, h);
    }
    return true;
}

bool piece_drop(struct resident * r, struct held * h) {
    return pieces_drop(r, h, 1);
}

void piece_leave(struct resident * r, struct held * h) {
    piece_set_leaving(h, true);
    if (h->is_queued_to_leave) { return; }
    h->is_queued_to_leave = true;
    r->leaving.piece[r->leaving.end++ % r->leaving.capacity] = (uint32_t) (h - r->piece);
}

void piece_stay(struct resident * r, struct held * h) {
    if (!h->is_leaving) { return; }
    piece_set_leaving(h, false);
    if (piece_state_of(h) == PIECE_IN) { resident_add(&r->totals.spared, resident_bytes(r, h)); }
}

bool piece_drop_leaving(struct resident * r) {
    struct piece_queue * q = &r->leaving;
    while (q->first < q->end) {
        struct held * h = &r->piece[q->piece[q->first++ % q->capacity]];
        const bool goes = h->is_leaving && piece_state_of(h) == PIECE_IN;
        h->is_queued_to_leave = false;
        piece_set_leaving(h, false);
        if (goes && !piece_keep_expected(r, h) && piece_drop(r, h)) { return true; }
    }
    return false;
}

/* Of what was read unasked, what was read last. False: there is none. */
bool piece_drop_spare(struct resident * r) {
    while (r->spare_end > 0) {
        struct held * h = &r->piece[--r->spare_end];
        if (h->is_spare && h->guess == GUESS_NOT && piece_state_of(h) == PIECE_IN && piece_drop(r, h)) { return true; }
    }
    return false;
}

/* One in memory: of those that are not expected any more, or else the least likely. False: there is none. */
bool piece_drop_guess(struct resident * r) {
    for (unsigned hoped = 0; hoped < 2; hoped++) {
        for (uint32_t i = r->n_guesses; i-- > 0;) {
            struct held * h = &r->piece[r->guesses[i]];
            if (h->is_hoped == hoped && piece_state_of(h) == PIECE_IN && piece_drop(r, h)) { return true; }
        }
    }
    return false;
}

bool piece_drop_unneeded(struct resident * r) {
    return piece_drop_leaving(r) || piece_drop_spare(r) || piece_drop_guess(r);
}

/* ---- loading ---- */

static bool take_memory(struct resident * r, struct held * h) {
    while (!r->by->take(r, h)) {
        if (!piece_drop_unneeded(r)) { return false; }
    }
    return r->by->may_put(r, h);
}

static void begin_read(struct resident * r, struct held * h) {
    struct read_job job = { .fd = r->files[h->is.file].direct,
                            .offset = resident_offset(r, h),
                            .bytes = resident_bytes(r, h),
                            .tag = (uint64_t) (h - r->piece) };
    r->by->aim(r, h, &job);
    piece_set_in_ring(r, h, h->is.class == PLACE_STREAM);
    if (r->in_flight++ == 0) { r->busy_since = clock_monotonic_ns(); }
    piece_set_state(h, PIECE_LOADING);
    reader_start(r->reader, &job);
}

void piece_begin_unasked(struct resident * r, struct held * h) {
    h->is_unasked = true;
    r->n_unasked++;
    begin_read(r, h);
}

void piece_end_unasked(struct resident * r, struct held * h) {
    r->n_unasked -= h->is_unasked;
    h->is_unasked = false;
}

bool piece_start(struct resident * r, struct held * h) {
    if (!take_memory(r, h)) { return false; }
    begin_read(r, h);
    return true;
}

static bool put(struct resident * r, struct held * h) {
    const uint64_t began = clock_monotonic_ns();
    const bool good = r->by->put(r, h);
    resident_add(&r->totals.map_ns, clock_monotonic_ns() - began);
    return good;
}

/* The file stays there. After a few, everything is handed back. */
static void fail(struct resident * r, struct held * h, bool covered) {
    resident_add(&r->totals.errors, 1);
    if (++r->failures == FAILURES_MOST) {
        r->why = covered ? "the kernel refuses mappings" : "three pieces of the model could not be read";
    }
    if (covered && !r->by->remove(r, h, 1)) {
        piece_set_state(h, PIECE_IN); /* what lies there is right */
        return;
    }
    piece_set_state(h, PIECE_LOST);
    piece_give_memory(r, h);
}

void piece_read_ended(struct resident * r, const struct read_done * done) {
    if (--r->in_flight == 0) { resident_add(&r->totals.disk_ns, clock_monotonic_ns() - r->busy_since); }
    piece_end_unasked(r, &r->piece[done->tag]);
    resident_add(&r->totals.reads, 1);
}

void piece_finish(struct resident * r, const struct read_done * done) {
    struct held * h = &r->piece[done->tag];
    const bool is_whole = r->by->is_whole(r, h, done);
    if (piece_state_of(h) == PIECE_LOST) { /* its model is gone */
        piece_give_memory(r, h);
    } else if (!is_whole) {
        fail(r, h, false);
    } else if (h->drop_after) {
        piece_set_state(h, PIECE_ABSENT);
        piece_give_memory(r, h);
    } else if (!put(r, h)) {
        fail(r, h, true);
    } else {
        piece_set_state(h, PIECE_IN);
        resident_add(&r->totals.loads, 1);
    }
    h->drop_after = false;
}

/* ---- the ring ---- */

/* An older entry of the piece counts no more. */
static void push_place(struct piece_queue * q, struct held * h, uint32_t piece, uint64_t place) {
    q->piece[q->end % q->capacity] = piece;
    q->place[q->end % q->capacity] = place;
    h->entry = q->end++;
}

/* Leaves one entry of each piece at most, so that there is room for as many. */
static void forget_old_places(struct resident * r) {
    struct piece_queue * q = &r->ring;
    for (const uint64_t end = q->end; q->first < end; q->first++) {
        const uint32_t piece = q->piece[q->first % q->capacity];
        struct held * h = &r->piece[piece];
        if (h->in_ring && h->entry == q->first) { push_place(q, h, piece, q->place[q->first % q->capacity]); }
    }
}

/* Notes the piece's newest place. */
void piece_enter_ring(struct resident * r, struct held * h, uint64_t place) {
    if (r->ring.end - r->ring.first == r->ring.capacity) { forget_old_places(r); }
    push_place(&r->ring, h, (uint32_t) (h - r->piece), place);
}
