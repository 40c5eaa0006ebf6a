/* SPDX-License-Identifier: MIT
 *
 * A policy of our own for what goes round and round, as the weights of a model do: a cycle is over when an item comes
 * that has been in it. Each item has its turn at a place in the cycle, learned from its last access. What it is worth
 * is the chance that its next turn wants it, over the way until then. A newcomer evicts only what is worth less, or is
 * passed by. The way counts from two cycles before the turn, as an item once evicted is missed in later cycles too.
 *
 * The chance follows from how many turns wanted the item so far, and from whether the last one did: of experts, one
 * that the token before has chosen is likelier to be chosen again. How much likelier is learned from all items: of
 * those seen before, `same` were also in the cycle before, where their counts alone let `expected` of them be. Weights
 * that each cycle wants have the chance 1, so that of them those stay whose turn comes soonest.
 *
 * Sizes: what an item is worth is worth a byte of it, since a byte that is held costs and saves the same everywhere. If
 * evicting all that is worth less does not make enough room, nothing is evicted.
 */
#include <math.h>
#include <stdlib.h>

#include "policy/base.h"
#include "policy/heap.h"
#include "policy/lists.h"

enum {
    PARTS = 16, /* of a cycle: within one, ways are the same */
    BEFORE = 2, /* cycles */
    LATE = 4,   /* accesses by which a turn may come late */
    UNIT = 1024 /* of counts in ranks */
};

enum { RECENT = 1 };

struct turn {
    uint64_t uses;
    uint32_t cycle, position; /* of the last access; uses is 0: none */
    uint8_t part;
};

struct cycle {
    struct policy base;
    struct turn * turn;       /* by item */
    struct heap heap[PARTS];  /* of items held, by their chance; by the part of their turn */
    double weight[PARTS];     /* of a chance there, now */
    struct lists recent;      /* items held that their last turn wanted, until the next one */
    struct heap_entry * gone; /* what may have to go */
    uint32_t cycle, position, length, part;
    uint64_t seen, same;
    double expected;
};

static void destroy(struct policy * base) {
    struct cycle * p = (struct cycle *) base;
    for (unsigned i = 0; i < PARTS; i++) { heap_end(&p->heap[i]); }
    lists_end(&p->recent);
    free(p->turn);
    free(p->gone);
    base_free(base);
}

static struct policy * create(uint64_t capacity, const struct policy_items * items) {
    struct cycle * p = base_new(sizeof *p, &policy_cycle, capacity, items);
    if (!p) { return NULL; }
    p->part = PARTS; /* none yet */
    p->turn = calloc((size_t) items->count + 1, sizeof *p->turn);
    p->gone = malloc(((size_t) items->count + 1) * sizeof *p->gone);
    bool good = lists_begin(&p->recent, items, 1) && p->turn && p->gone;
    for (unsigned i = 0; i < PARTS; i++) { good &= heap_begin(&p->heap[i], items->count); }
    if (good) { return &p->base; }
    destroy(&p->base);
    return NULL;
}

/* Of a turn `steps` parts ahead, in a part that has had so many turns. */
static double weight_of(uint32_t turns, uint32_t steps) {
    return 1 / ((turns ? turns : 1) * (BEFORE + steps / (double) PARTS));
}

static void set_part(struct cycle * p, uint32_t part) {
    p->part = part;
    for (uint32_t i = 0; i < PARTS; i++) { p->weight[i] = weight_of(p->cycle + (i < part), (i - part) % PARTS); }
}

/* ---- what is known of an item ---- */

static void learn(struct cycle * p, const struct turn * t) {
    if (!t->uses) { return; }
    const double share = (double) t->uses / p->cycle;
    p->seen++;
    p->same += t->cycle + 1 == p->cycle;
    p->expected += share < 1 ? share : 1;
}

/* In units of turns that want it, out of all there were. */
static uint64_t chance_if_recent(const struct cycle * p, uint32_t item) {
    const double more = ((double) p->same - p->expected) / (double) (p->seen - p->same + 1);
    const double bonus = more > 0 ? more * (p->cycle + 1.0) * UNIT : 0;
    return p->turn[item].uses * UNIT + (uint64_t) bonus;
}

static bool has_passed(const struct cycle * p, const struct turn * t) {
    return t->cycle + 1 < p->cycle || (t->cycle + 1 == p->cycle && t->position + LATE < p->position);
}

/* Those that a turn which has passed did not want again. */
static void forget_recent(struct cycle * p) {
    while (!lists_is_empty(&p->recent, RECENT)) {
        const uint32_t item = lists_oldest(&p->recent, RECENT);
        const struct turn * t = &p->turn[item];
        if (!has_passed(p, t)) { return; }
        lists_remove(&p->recent, item);
        const uint64_t accessed = heap_rank(&p->heap[t->part], item).accessed;
        heap_set_rank(&p->heap[t->part], item, (struct rank){ t->uses * UNIT, accessed });
    }
}

/* The item's turn is now. */
static void advance(struct cycle * p, uint32_t item) {
    struct turn * t = &p->turn[item];
    if (t->uses && t->cycle == p->cycle) {
        p->cycle++;
        p->length = p->position;
        p->position = 0;
        p->part = PARTS;
    }
    learn(p, t);
    forget_recent(p);
    const uint64_t part = p->length ? (uint64_t) p->position * PARTS / p->length : 0;
    if (part != p->part) { set_part(p, part < PARTS ? (uint32_t) part : PARTS - 1); }
    *t = (struct turn){ t->uses + 1, p->cycle, p->position++, t->part };
}

/* ---- what is held ---- */

static void hold(struct cycle * p, uint32_t item) {
    p->turn[item].part = (uint8_t) p->part;
    heap_add(&p->heap[p->part], item, (struct rank){ chance_if_recent(p, item), p->base.now });
    lists_add(&p->recent, RECENT, item);
}

/* What is worth least, if that is below a bound. */
static bool take_least(struct cycle * p, double below, struct heap_entry * gone) {
    uint32_t least = PARTS;
    for (uint32_t steps = PARTS; steps-- > 0;) {
        const uint32_t part = (p->part + steps) % PARTS;
        if (!p->heap[part].count) { continue; }
        const double worth = (double) heap_first(&p->heap[part]).rank.value * p->weight[part];
        if (worth < below) {
            below = worth;
            least = part;
        }
    }
    if (least == PARTS) { return false; }
    *gone = heap_pop(&p->heap[least]);
    return true;
}

static void let_go(struct cycle * p, uint32_t item) {
    if (p->recent.list[item]) { lists_remove(&p->recent, item); }
    base_evict(&p->base, item);
}

static bool evict(struct policy * base) {
    struct cycle * p = (struct cycle *) base;
    struct heap_entry gone;
    if (!take_least(p, INFINITY, &gone)) { return false; }
    let_go(p, gone.item);
    return true;
}

static bool make_room(struct cycle * p, uint32_t item) {
    struct policy * base = &p->base;
    const double worth = (double) chance_if_recent(p, item) * weight_of(p->cycle + 1, PARTS);
    uint64_t room = base->capacity - base->used;
    uint32_t n = 0;
    while (room < base->items.bytes[item] && take_least(p, worth, &p->gone[n])) {
        room += base->items.bytes[p->gone[n++].item];
    }
    const bool good = room >= base->items.bytes[item];
    while (n-- > 0) {
        const uint32_t out = p->gone[n].item;
        if (!good) {
            heap_add(&p->heap[p->turn[out].part], out, p->gone[n].rank);
        } else {
            let_go(p, out);
        }
    }
    return good;
}

static bool access(struct policy * base, uint32_t item) {
    struct cycle * p = (struct cycle *) base;
    advance(p, item);
    if (base->held[item]) {
        heap_remove(&p->heap[p->turn[item].part], item);
        if (p->recent.list[item]) { lists_remove(&p->recent, item); }
        hold(p, item);
        return true;
    }
    if (base_may_hold(base, item) && make_room(p, item)) {
        base_hold(base, item);
        hold(p, item);
    }
    return false;
}

const struct policy_kind policy_cycle = {
    .name = "cycle",
    .title = "next turn in the cycle",
    .knowledge = POLICY_ONLINE,
    .create = create,
    .access = access,
    .evict = evict,
    .destroy = destroy,
};
