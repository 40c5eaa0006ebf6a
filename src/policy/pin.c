/* SPDX-License-Identifier: MIT
 *
 * Pin the best, stream the rest: what will be accessed most often is kept from its first access on; all else is passed
 * by. It knows the future, but only in sum.
 *
 * Sizes: a byte of an item is accessed as often as the item, so the number of accesses is also the value of each byte,
 * and what fits of the last item that is chosen is kept of it: no choice of bytes saves more. Of equals the smaller
 * item is chosen, as more of them are then kept whole, and then the one with the lower number.
 */
#include <stdlib.h>

#include "policy/base.h"

struct pin {
    struct policy base;
    uint64_t * chosen; /* by item: bytes */
};

static void destroy(struct policy * base) {
    free(((struct pin *) base)->chosen);
    base_free(base);
}

struct candidate {
    uint64_t value, bytes;
    uint32_t item;
};

static int best(const void * a, const void * b) {
    const struct candidate *x = a, *y = b;
    if (x->value != y->value) { return x->value < y->value ? 1 : -1; }
    if (x->bytes != y->bytes) { return x->bytes < y->bytes ? -1 : 1; }
    return x->item < y->item ? -1 : x->item > y->item;
}

static bool choose(struct pin * p) {
    const struct policy_items * items = &p->base.items;
    struct candidate * all = malloc(((size_t) items->count + 1) * sizeof *all);
    uint64_t room = p->base.capacity;
    uint32_t n = 0;
    if (!all) { return false; }
    for (uint32_t i = 0; i < items->count && items->value; i++) {
        if (items->value[i]) { all[n++] = (struct candidate){ items->value[i], items->bytes[i], i }; }
    }
    qsort(all, n, sizeof *all, best);
    for (uint32_t i = 0; i < n && room; i++) {
        const uint64_t bytes = all[i].bytes < room ? all[i].bytes : room;
        p->chosen[all[i].item] = bytes;
        room -= bytes;
    }
    free(all);
    return true;
}

static struct policy * create(uint64_t capacity, const struct policy_items * items) {
    struct pin * p = base_new(sizeof *p, &policy_pin, capacity, items);
    if (!p) { return NULL; }
    p->base.part = p->chosen = calloc((size_t) items->count + 1, sizeof *p->chosen);
    if (p->chosen && choose(p)) { return &p->base; }
    destroy(&p->base);
    return NULL;
}

static bool access(struct policy * base, uint32_t item) {
    const uint64_t bytes = ((struct pin *) base)->chosen[item];
    if (base->held[item] || bytes == 0) { return base->held[item]; }
    base->held[item] = true;
    base->used += bytes;
    return false;
}

const struct policy_kind policy_pin = {
    .name = "pin",
    .title = "pin the best, stream the rest",
    .knowledge = POLICY_HINDSIGHT,
    .create = create,
    .access = access,
    .destroy = destroy,
};
