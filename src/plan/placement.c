/* SPDX-License-Identifier: MIT */
#include "plan/placement.h"

enum {
    RING_LEAST = 4 << 20,    /* so that the disk has several reads to do at once */
    RING_SHARE = 4,          /* of the budget, at most */
    RING_PAUSES = 768 << 10, /* twice what a disk could read while it pauses between two batches */
    PAGE = 4096,
    SCRATCH_SHARE = 4, /* of the cache, at most, for experts that do not stay */
    CACHE_SHARE = 4,   /* of the budget, at least, for experts where what each token needs does not fit */
};

static uint64_t least(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

static uint64_t square_root(uint64_t square) {
    uint64_t root = 0;
    for (uint64_t bit = UINT64_C(1) << 31; bit; bit >>= 1) {
        if ((root + bit) * (root + bit) <= square) { root += bit; }
    }
    return root;
}

/* A ring of R bytes takes them from what is pinned, so a token reads them beside what does not fit. It is read in about
 * 2 / R batches a byte, and the disk pauses for each. The time of both together, (over + R) (1 + pauses / R), is least
 * where R is the root of over x pauses; half or twice as much costs little. */
static uint64_t ring_of(uint64_t budget, uint64_t dense) {
    const uint64_t over = dense - budget, most = budget / RING_SHARE;
    uint64_t ring = over < UINT64_MAX / RING_PAUSES ? square_root(over * RING_PAUSES) : most;
    if (ring > most) { ring = most; }
    if (ring < RING_LEAST) { ring = RING_LEAST; }
    return least(least(ring / PAGE * PAGE, budget), dense);
}

/* ---- dense items ---- */

/* Items from `first` on that one operation needs together. Returns the one behind them. */
static uint32_t next_group(const struct placement_item * items, uint32_t count, uint32_t first, uint64_t * bytes) {
    uint32_t next = first;
    *bytes = 0;
    do {
        if (!items[next].is_expert) { *bytes += items[next].bytes; }
        next++;
    } while (next < count && items[next].with_last);
    return next;
}

struct shares {
    uint64_t ring;
    double even;          /* of a group's bytes, the share that is pinned */
    bool pins_large_ones; /* wholly: groups larger than the ring */
};

/* What is not pinned must fit in the ring, beside what the operation before is still using. */
static double share_of(uint64_t bytes, const struct shares * s) {
    const uint64_t ring = s->ring / 4 * 3;
    if (s->pins_large_ones && bytes > s->ring) { return 1; }
    const double least = bytes > ring && ring ? 1 - (double) ring / (double) bytes : 0;
    return s->even > least ? s->even : least;
}

static double pinned_by(const struct placement_item * items, uint32_t count, const struct shares * s) {
    double pinned = 0;
    for (uint32_t i = 0; i < count;) {
        uint64_t bytes;
        i = next_group(items, count, i, &bytes);
        pinned += (double) bytes * share_of(bytes, s);
    }
    return pinned;
}

/* The share of all groups that makes `pinned` bytes with what single groups need more. While an operation computes
 * with a group that fills the ring, nothing is read: such a group is pinned as a whole if there is memory for it. */
static struct shares find_shares(const struct placement_item * items, uint32_t count, uint64_t ring, uint64_t pinned) {
    struct shares s = { ring, 0, true };
    double low = 0, high = 1;
    s.pins_large_ones = pinned_by(items, count, &s) <= (double) pinned;
    for (int step = 0; step < 40; step++) {
        s.even = (low + high) / 2;
        *(pinned_by(items, count, &s) > (double) pinned ? &high : &low) = s.even;
    }
    s.even = low;
    return s;
}

/* Of the dense items, up to `pinned` bytes, evenly: each item that is pinned pays for as many bytes before it. */
static void spread(const struct placement_item * items, uint32_t count, uint64_t pinned, enum placement_class other,
                   uint8_t * classes, struct placement * p) {
    const struct shares shares = find_shares(items, count, p->ring, pinned);
    double due = 0;
    for (uint32_t i = 0; i < count;) {
        uint64_t bytes;
        const uint32_t first = i, next = next_group(items, count, i, &bytes);
        for (i = first; i < next; i++) {
            if (items[i].is_expert) { continue; }
            due += (double) items[i].bytes * share_of(bytes, &shares);
            const uint64_t with = p->pinned + items[i].bytes;
            const bool pin = (double) with <= due + 0.5 && with <= pinned;
            classes[i] = (uint8_t) (pin ? PLACE_PIN : other);
            *(pin ? &p->pinned : other == PLACE_STREAM ? &p->streamed : &p->left) += items[i].bytes;
        }
    }
}

static void place_dense(const struct placement_item * items, uint32_t count, uint64_t budget, uint64_t dense,
                        unsigned may, uint8_t * classes, struct placement * p) {
    const bool fits = dense <= budget;
    const bool streams = !fits && (may & PLACE_MAY_STREAM);
    if (streams) { p->ring = ring_of(budget, dense); }
    const uint64_t pinned = !(may & PLACE_MAY_PIN) ? 0 : fits ? dense : budget - p->ring;
    if (!(may & PLACE_MAY_PIN) && (may & PLACE_MAY_STREAM)) { p->ring = least(budget, dense); }
    spread(items, count, pinned, may & PLACE_MAY_STREAM ? PLACE_STREAM : PLACE_LEAVE, classes, p);
}

/* ---- experts ---- */

/* Without a cache, those that come first are pinned. */
static void place_experts(const struct placement_item * items, uint32_t count, uint64_t budget, uint64_t experts,
                          unsigned may, uint8_t * classes, struct placement * p) {
    const bool all = experts <= budget;
    for (uint32_t i = 0; i < count; i++) {
        if (!items[i].is_expert) { continue; }
        const bool pin = (may & PLACE_MAY_PIN) && (all || !(may & PLACE_MAY_CACHE)) && items[i].bytes <= budget;
        const bool cache = !pin && (may & PLACE_MAY_CACHE) && budget > 0;
        classes[i] = (uint8_t) (pin ? PLACE_PIN : cache ? PLACE_CACHE : PLACE_LEAVE);
        *(pin ? &p->pinned : cache ? &p->cached : &p->left) += items[i].bytes;
        if (pin) { budget -= items[i].bytes; }
    }
    if (p->cached) { p->cache = least(budget, p->cached); }
}

struct placement placement_make(const struct placement_item * items, uint32_t count, uint64_t budget, unsigned may,
                                uint8_t * classes) {
    struct placement p = { 0 };
    uint64_t dense = 0, experts = 0;
    for (uint32_t i = 0; i < count; i++) { *(items[i].is_expert ? &experts : &dense) += items[i].bytes; }
    uint64_t for_dense = budget;
    if (experts && (may & PLACE_MAY_CACHE) && dense + budget / CACHE_SHARE > budget) {
        for_dense = budget - least(budget / CACHE_SHARE, experts);
    }
    if (dense) { place_dense(items, count, for_dense, dense, may, classes, &p); }
    if (experts) { place_experts(items, count, budget - p.pinned - p.ring, experts, may, classes, &p); }
    return p;
}

uint64_t placement_scratch(uint64_t cache, uint64_t stack, uint64_t chosen) {
    const uint64_t two = stack < UINT64_MAX / 2 ? 2 * stack : stack;
    return least(least(two, chosen), cache / SCRATCH_SHARE);
}
