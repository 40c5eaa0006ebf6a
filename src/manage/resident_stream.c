/* SPDX-License-Identifier: MIT */
#include "manage/resident_stream.h"

#include "manage/resident_piece.h"
#include "plan/reading.h"

/* ---- dropping what was passed ---- */

enum { DROPS_MOST = 64 };

static bool is_entry(const struct resident * r, uint64_t i, const struct held ** piece) {
    const struct held * h = &r->piece[r->ring.piece[i % r->ring.capacity]];
    const uint32_t state = piece_state_of(h);
    *piece = h;
    return h->entry == i && state != PIECE_ABSENT && state != PIECE_LOST;
}

/* Takes pieces out of the queue that were passed, the first one first. */
static uint32_t take_passed(struct resident * r, uint32_t pieces[static DROPS_MOST]) {
    struct piece_queue * q = &r->ring;
    const uint64_t passed = __atomic_load_n(&r->passed, __ATOMIC_SEQ_CST);
    uint32_t n = 0;
    for (; q->first < q->end && n < DROPS_MOST; q->first++) {
        const struct held * h;
        if (!is_entry(r, q->first, &h)) { continue; }
        if (q->place[q->first % q->capacity] >= passed || piece_state_of(h) != PIECE_IN) { break; }
        pieces[n++] = q->piece[q->first % q->capacity];
    }
    return n;
}

static void sort(uint32_t * pieces, uint32_t n) {
    for (uint32_t i = 1; i < n; i++) {
        const uint32_t piece = pieces[i];
        uint32_t to = i;
        for (; to > 0 && pieces[to - 1] > piece; to--) { pieces[to] = pieces[to - 1]; }
        pieces[to] = piece;
    }
}

static bool follows(const struct resident * r, uint32_t before, uint32_t piece) {
    const struct resident_piece *b = &r->piece[before].is, *p = &r->piece[piece].is;
    return piece == before + 1 && b->file == p->file && p->page <= b->page + b->pages;
}

/* Those that lie side by side go in one call: each unmaps what is present on all processors. False: none went. */
static bool drop_passed(struct resident * r) {
    uint32_t pieces[DROPS_MOST];
    bool some = false;
    const uint32_t n = take_passed(r, pieces);
    sort(pieces, n);
    for (uint32_t i = 0, next; i < n; i = next) {
        for (next = i + 1; next < n && follows(r, pieces[next - 1], pieces[next]);) { next++; }
        if (pieces_drop(r, &r->piece[pieces[i]], next - i)) {
            some = true;
            continue;
        }
        for (uint32_t p = i; p < next; p++) { piece_enter_ring(r, &r->piece[pieces[p]], 0); } /* they are still there */
    }
    return some;
}

/* Also those that came into the ring after others that were read ahead and are still to be used: what was pinned before
 * there was less memory. */
void stream_shrink(struct resident * r) {
    while (r->ring_used > r->ring_pages && drop_passed(r)) {}
    const struct piece_queue * q = &r->ring;
    const uint64_t passed = __atomic_load_n(&r->passed, __ATOMIC_SEQ_CST);
    for (uint64_t i = q->first; i < q->end && r->ring_used > r->ring_pages; i++) {
        struct held * h = &r->piece[q->piece[i % q->capacity]];
        if (h->entry != i || q->place[i % q->capacity] >= passed || piece_state_of(h) != PIECE_IN) { continue; }
        piece_drop(r, h);
    }
}

/* ---- room ---- */

static uint64_t ring_free(const struct resident * r) {
    return r->ring_pages > r->ring_used ? r->ring_pages - r->ring_used : 0;
}

/* The place below which all must have been passed for so many pages to be free; or for as many as can be. */
static uint64_t place_for(const struct resident * r, uint64_t pages) {
    const struct piece_queue * q = &r->ring;
    uint64_t room = ring_free(r), place = 0;
    for (uint64_t i = q->first; i < q->end && room < pages; i++) {
        const struct held * h;
        if (!is_entry(r, i, &h)) { continue; }
        room += h->is.pages;
        if (q->place[i % q->capacity] + 1 > place) { place = q->place[i % q->capacity] + 1; }
    }
    return place;
}

/* Makes it of passed pieces if that is enough. False: `place` is what must have been passed. */
static bool make_room(struct resident * r, uint64_t pages, uint64_t * place) {
    while (ring_free(r) < pages) {
        const uint64_t needed = place_for(r, pages);
        if (needed > __atomic_load_n(&r->passed, __ATOMIC_SEQ_CST) || !drop_passed(r)) {
            *place = needed;
            return false;
        }
    }
    return true;
}

/* ---- batches ---- */

/* Some virtual disks tell of no read before all that they have are done. A read that is added there delays those that
 * are under way. So no more are added, and what a disk gets at once is half of the ring: while it is read, what came
 * before is computed with, and dropped. Other disks are kept busy all the time. */
enum { TOGETHER = 256, TOGETHER_SHARE = 8, TOGETHER_READS = 3, BATCHES_FROM = 208, BATCHES_UNTIL = 128 };

void stream_note_ended(struct resident * r, unsigned ended, unsigned of) {
    if (of < TOGETHER_READS) { return; }
    const uint32_t now = ended == of ? TOGETHER : 0;
    r->together = r->together - r->together / TOGETHER_SHARE + now / TOGETHER_SHARE;
    if (r->together >= BATCHES_FROM) { r->in_batches = true; }
    if (r->together < BATCHES_UNTIL) { r->in_batches = false; }
}

/* ---- reading ---- */

struct streaming {
    uint64_t left;  /* pages of this batch */
    bool started;   /* some of it */
    uint64_t place; /* that must be passed for there to be room; NO_PLACE: there is, or that would not help */
};

static bool is_urgent(const struct resident * r, uint64_t place) {
    return r->awaited_seen != NO_PLACE && place <= r->awaited_seen;
}

/* Once the ring is full, several pieces go and come at a time. */
static uint64_t least_room(const struct resident * r, const struct held * h) {
    const uint64_t least = reading_least_room(r->ring_pages, r->in_batches);
    return least > h->is.pages ? least : h->is.pages;
}

static bool may_start(struct resident * r, const struct held * h, uint64_t place, struct streaming * s) {
    if (h->is.class == PLACE_PIN) { return true; }
    if (is_urgent(r, place)) { return make_room(r, h->is.pages, &s->place); }
    if (r->in_batches && s->started && s->left < h->is.pages) { return false; }
    if (r->in_batches && !s->started && r->in_flight) {
        make_room(r, reading_batch(r->ring_pages), &s->place); /* for the next batch, meanwhile */
        return false;
    }
    return make_room(r, s->started ? h->is.pages : least_room(r, h), &s->place);
}

/* False: there is no room for the piece now. */
static bool stream_one(struct resident * r, uint32_t piece, uint64_t place, struct streaming * s) {
    struct held * h = &r->piece[piece];
    if (h->is.class != PLACE_PIN && h->is.class != PLACE_STREAM) { return true; }
    if (piece_state_of(h) == PIECE_ABSENT) {
        if (!may_start(r, h, place, s)) { return false; }
        if (!piece_start(r, h)) {
            r->lacks_room = true;
            s->place = 0;
            return false;
        }
        s->started = true;
        s->left -= s->left < h->is.pages ? s->left : h->is.pages;
    }
    if (h->is.class == PLACE_STREAM && piece_state_of(h) != PIECE_LOST) { piece_enter_ring(r, h, place); }
    return true;
}

/* Places before this one are read now: a round ahead at most or, on demand, up to what is waited for. */
static uint64_t horizon(const struct resident * r) {
    if (r->on_demand) { return r->awaited_seen == NO_PLACE ? 0 : r->awaited_seen + 1; }
    return r->passed_seen + r->now->count;
}

/* Until the thread has looked, it is told of whatever passes: nothing must pass between looking and sleeping. */
bool stream_next(struct resident * r) {
    uint64_t place = r->ahead;
    __atomic_store_n(&r->tell_from, 0, __ATOMIC_SEQ_CST);
    r->passed_seen = __atomic_load_n(&r->passed, __ATOMIC_SEQ_CST);
    r->awaited_seen = __atomic_load_n(&r->awaited, __ATOMIC_SEQ_CST);
    struct streaming s = { .left = reading_batch(r->ring_pages), .place = NO_PLACE };
    while (r->now && r->now->count && reader_room(r->reader)) {
        if (place >= horizon(r)) {
            s.place = r->ring_pages ? r->passed_seen + 1 : NO_PLACE;
            break;
        }
        if (!stream_one(r, r->now->piece[(place - r->now_begin) % r->now->count], place, &s)) { break; }
        __atomic_store_n(&r->ahead, ++place, __ATOMIC_RELEASE);
    }
    __atomic_store_n(&r->tell_from, s.place, __ATOMIC_SEQ_CST);
    return s.started;
}
