/* SPDX-License-Identifier: MIT
 *
 * Pin the best, stream the rest: what will be used most often for each byte of memory, a byte of an item being used as
 * often as the item, is kept from its first use on; all else is passed by. It knows the future, but only in sum.
 */
#include <stdlib.h>

#include "policy/base.h"

struct pin {
    struct policy base;
    bool * chosen; /* by item */
};

static void destroy(struct policy * base) {
    free(((struct pin *) base)->chosen);
    base_free(base);
}

struct candidate {
    uint64_t value, bytes;
    uint32_t item;
};

/* Most used first; among equals the smaller one, as more of them fit. */
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
    for (uint32_t i = 0; i < n; i++) {
        if (all[i].bytes > room) { continue; }
        p->chosen[all[i].item] = true;
        room -= all[i].bytes;
    }
    free(all);
    return true;
}

static struct policy * create(uint64_t capacity, const struct policy_items * items) {
    struct pin * p = base_new(sizeof *p, &policy_pin, capacity, items);
    if (!p) { return NULL; }
    p->chosen = calloc((size_t) items->count + 1, sizeof *p->chosen);
    if (p->chosen && choose(p)) { return &p->base; }
    destroy(&p->base);
    return NULL;
}

static bool access(struct policy * base, uint32_t item) {
    if (base->held[item]) { return true; }
    if (((struct pin *) base)->chosen[item]) { base_hold(base, item); }
    return false;
}

const struct policy_kind policy_pin = {
    .name = "pin",
    .title = "pin the best, stream the rest",
    .create = create,
    .access = access,
    .destroy = destroy,
};
