/* SPDX-License-Identifier: MIT
 *
 * W-TinyLFU (Einziger, Friedman, Manes: TinyLFU: a highly efficient cache admission policy, ACM Transactions on Storage
 * 2017): newcomers come into a window, an LRU list of 1 % of the cache. What leaves the window is admitted to the rest
 * of it only if it was accessed more often lately than what would have to go. The rest is a segmented LRU: a probation
 * list and, for what was accessed there, a protected list of 80 %. Counts end at 15 and are halved from time to time.
 * They are exact, as items are few: the paper's sketch and doorkeeper only approximate that.
 *
 * Sizes: lists are measured in bytes; counts are halved when ten times the capacity was accessed. Several items may
 * have to go for one: a count is then weighed with the bytes that it stands for. An item larger than the window is
 * judged at once, and may take the window's room where that is free. libCacheSim passes it by, and compares with the
 * first item to go only.
 */
#include <stdlib.h>

#include "policy/base.h"
#include "policy/lists.h"

enum { COUNT_MAX = 15, SAMPLE = 10 /* capacities */ };

enum { WINDOW = 1, PROBATION, PROTECTED, LISTS = PROTECTED };

struct wtinylfu {
    struct policy base;
    struct lists lists;
    uint8_t * uses;                                  /* by item */
    uint64_t window_most, main_most, protected_most; /* bytes */
    uint64_t sample;                                 /* bytes accessed */
};

static void destroy(struct policy * base) {
    struct wtinylfu * p = (struct wtinylfu *) base;
    lists_end(&p->lists);
    free(p->uses);
    base_free(base);
}

static struct policy * create(uint64_t capacity, const struct policy_items * items) {
    struct wtinylfu * p = base_new(sizeof *p, &policy_wtinylfu, capacity, items);
    if (!p) { return NULL; }
    p->window_most = capacity / 100;
    p->main_most = capacity - p->window_most;
    p->protected_most = p->main_most / 5 * 4;
    p->uses = calloc((size_t) items->count + 1, sizeof *p->uses);
    if (lists_begin(&p->lists, items, LISTS) && p->uses) { return &p->base; }
    destroy(&p->base);
    return NULL;
}

static void count(struct wtinylfu * p, uint32_t item) {
    if (p->uses[item] < COUNT_MAX) { p->uses[item]++; }
    p->sample += p->base.items.bytes[item];
    if (p->sample / SAMPLE < p->base.capacity) { return; }
    p->sample /= 2;
    for (uint32_t i = 0; i < p->base.items.count; i++) { p->uses[i] /= 2; }
}

static uint64_t worth(const struct wtinylfu * p, uint32_t item) {
    return p->uses[item] * p->base.items.bytes[item];
}

/* The next to go from the main lists after `item`. Its own list's end comes before the protected list. */
static uint32_t victim_after(const struct lists * l, uint32_t item) {
    const uint32_t next = l->link[item].newer;
    return next == lists_end_of(l, PROBATION) ? lists_oldest(l, PROTECTED) : next;
}

static uint32_t first_victim(const struct lists * l) {
    return lists_oldest(l, lists_is_empty(l, PROBATION) ? PROTECTED : PROBATION);
}

static void evict_first(struct wtinylfu * p) {
    const uint32_t victim = first_victim(&p->lists);
    lists_remove(&p->lists, victim);
    base_evict(&p->base, victim);
}

/* Evicts what goes first until so many bytes are free, if all that is worth less than `item`. */
static bool make_room(struct wtinylfu * p, uint32_t item, uint64_t need) {
    const struct lists * l = &p->lists;
    uint64_t lost = 0, bytes = 0;
    uint32_t victims = 0;
    for (uint32_t at = first_victim(l); bytes < need; at = victim_after(l, at), victims++) {
        bytes += l->items.bytes[at];
        lost += worth(p, at);
        if (lost >= worth(p, item)) { return false; }
    }
    while (victims--) { evict_first(p); }
    return true;
}

/* The oldest of the window leaves it for `newcomer`. */
static void leave_window(struct wtinylfu * p, uint32_t newcomer) {
    struct lists * l = &p->lists;
    const uint32_t item = lists_oldest(l, WINDOW);
    const uint64_t main = l->bytes[PROBATION] + l->bytes[PROTECTED] + l->items.bytes[item];
    if (main <= p->main_most || base_fits(&p->base, newcomer) || make_room(p, item, main - p->main_most)) {
        lists_move(l, PROBATION, item);
    } else {
        lists_remove(l, item);
        base_evict(&p->base, item);
    }
}

static void hit(struct wtinylfu * p, uint32_t item) {
    struct lists * l = &p->lists;
    lists_move(l, l->list[item] == WINDOW ? WINDOW : PROTECTED, item);
    while (l->bytes[PROTECTED] > p->protected_most) { lists_move(l, PROBATION, lists_oldest(l, PROTECTED)); }
}

static bool admit(struct wtinylfu * p, uint32_t item) {
    const struct policy * base = &p->base;
    const uint64_t bytes = base->items.bytes[item];
    if (base_fits(base, item)) { return true; }
    if (bytes > base->capacity - p->lists.bytes[WINDOW]) { return false; }
    return make_room(p, item, base->used + bytes - base->capacity);
}

static bool access(struct policy * base, uint32_t item) {
    struct wtinylfu * p = (struct wtinylfu *) base;
    const uint64_t bytes = base->items.bytes[item];
    const bool large = bytes > p->window_most;
    if (!base_may_hold(base, item)) { return false; }
    count(p, item);
    if (base->held[item]) {
        hit(p, item);
        return true;
    }
    if (large && !admit(p, item)) { return false; }
    while (!large && p->lists.bytes[WINDOW] + bytes > p->window_most) { leave_window(p, item); }
    while (!base_fits(base, item)) { evict_first(p); } /* what had taken the window's room */
    lists_add(&p->lists, large ? PROBATION : WINDOW, item);
    base_hold(base, item);
    return false;
}

const struct policy_kind policy_wtinylfu = {
    .name = "wtinylfu",
    .title = "W-TinyLFU",
    .knowledge = POLICY_ONLINE,
    .create = create,
    .access = access,
    .destroy = destroy,
};
