/* SPDX-License-Identifier: MIT
 *
 * Frequency with admission: accesses are counted of all items, held or not, and never forgotten. A newcomer evicts only
 * what was accessed less often than it, or is passed by. So a loop larger than the cache keeps what came first, where
 * LRU and LFU keep nothing.
 *
 * Sizes: counts do not depend on them. If evicting all that was accessed less often does not make enough room, nothing
 * is evicted.
 */
#include <stdlib.h>

#include "policy/base.h"
#include "policy/heap.h"

struct frequency {
    struct policy base;
    uint64_t * uses;          /* by item */
    struct heap heap;         /* of items held, by uses */
    struct heap_entry * gone; /* what may have to go */
};

static void destroy(struct policy * base) {
    struct frequency * p = (struct frequency *) base;
    free(p->uses);
    free(p->gone);
    heap_end(&p->heap);
    base_free(base);
}

static struct policy * create(uint64_t capacity, const struct policy_items * items) {
    struct frequency * p = base_new(sizeof *p, &policy_frequency, capacity, items);
    if (!p) { return NULL; }
    p->uses = calloc((size_t) items->count + 1, sizeof *p->uses);
    p->gone = malloc(((size_t) items->count + 1) * sizeof *p->gone);
    if (heap_begin(&p->heap, items->count) && p->uses && p->gone) { return &p->base; }
    destroy(&p->base);
    return NULL;
}

static bool make_room(struct frequency * p, uint32_t item) {
    struct policy * base = &p->base;
    uint64_t room = base->capacity - base->used;
    uint32_t n = 0;
    while (room < base->items.bytes[item] && p->heap.count && heap_first(&p->heap).rank.value < p->uses[item]) {
        p->gone[n] = heap_pop(&p->heap);
        room += base->items.bytes[p->gone[n++].item];
    }
    const bool good = room >= base->items.bytes[item];
    while (n-- > 0) {
        if (good) {
            base_evict(base, p->gone[n].item);
        } else {
            heap_add(&p->heap, p->gone[n].item, p->gone[n].rank);
        }
    }
    return good;
}

static bool access(struct policy * base, uint32_t item) {
    struct frequency * p = (struct frequency *) base;
    const struct rank rank = { ++p->uses[item], base->now };
    if (base->held[item]) {
        heap_set_rank(&p->heap, item, rank);
        return true;
    }
    if (base_may_hold(base, item) && make_room(p, item)) {
        base_hold(base, item);
        heap_add(&p->heap, item, rank);
    }
    return false;
}

const struct policy_kind policy_frequency = {
    .name = "frequency",
    .title = "frequency with admission",
    .knowledge = POLICY_ONLINE,
    .create = create,
    .access = access,
    .destroy = destroy,
};
