/* SPDX-License-Identifier: MIT */
#include "plan/placement.h"

enum {
    RING_LEAST = 4 << 20, /* so that the disk has several reads to do at once */
    RING_MOST = 64 << 20, /* more only takes from what is pinned */
    RING_SHARE = 8,       /* of the budget, in between */
    CACHE_SHARE = 4,      /* of the budget, at least, for experts where what each token needs does not fit */
};

static uint64_t least(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

static uint64_t ring_of(uint64_t budget, uint64_t dense) {
    uint64_t ring = budget / RING_SHARE;
    if (ring < RING_LEAST) { ring = RING_LEAST; }
    if (ring > RING_MOST) { ring = RING_MOST; }
    return least(least(ring, budget), dense);
}

/* Of the dense items, `pinned` of `total` bytes, evenly: each item that is pinned pays for as many bytes before it. */
static void spread(const struct placement_item * items, uint32_t count, uint64_t pinned, uint64_t total,
                   enum placement_class other, uint8_t * classes, struct placement * p) {
    uint64_t seen = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (items[i].is_expert) { continue; }
        seen += items[i].bytes;
        const uint64_t due = (uint64_t) ((double) seen / (double) total * (double) pinned);
        const bool pin = p->pinned + items[i].bytes <= due;
        classes[i] = (uint8_t) (pin ? PLACE_PIN : other);
        *(pin ? &p->pinned : other == PLACE_STREAM ? &p->streamed : &p->left) += items[i].bytes;
    }
}

static void place_dense(const struct placement_item * items, uint32_t count, uint64_t budget, uint64_t dense,
                        unsigned may, uint8_t * classes, struct placement * p) {
    const bool fits = dense <= budget;
    const bool streams = !fits && (may & PLACE_MAY_STREAM);
    if (streams) { p->ring = ring_of(budget, dense); }
    const uint64_t pinned = !(may & PLACE_MAY_PIN) ? 0 : fits ? dense : budget - p->ring;
    if (!(may & PLACE_MAY_PIN) && (may & PLACE_MAY_STREAM)) { p->ring = least(budget, dense); }
    spread(items, count, pinned, dense, may & PLACE_MAY_STREAM ? PLACE_STREAM : PLACE_LEAVE, classes, p);
}

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
