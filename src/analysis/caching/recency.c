/* SPDX-License-Identifier: MIT */
#include "analysis/caching/recency.h"

#include <stdlib.h>
#include <string.h>

bool recency_begin(struct recency * r, uint32_t n_items, const uint64_t * bytes) {
    /* Places for twice the items: they run out, and are given anew, once in n_items accesses at most. */
    *r = (struct recency){ .bytes = bytes, .n_items = n_items };
    r->n_places = n_items < UINT32_MAX / 2 - 64 ? 2 * n_items + 64 : UINT32_MAX - 1;
    r->slot = calloc((size_t) n_items + 1, sizeof *r->slot);
    r->item_at = malloc((size_t) r->n_places * sizeof *r->item_at);
    r->tree = calloc((size_t) r->n_places + 1, sizeof *r->tree);
    return r->slot && r->item_at && r->tree;
}

void recency_end(struct recency * r) {
    free(r->slot);
    free(r->item_at);
    free(r->tree);
}

static uint64_t weight(const struct recency * r, uint32_t item) {
    return r->bytes ? r->bytes[item] : 1;
}

static void add(struct recency * r, uint32_t place, uint64_t bytes) {
    for (uint32_t i = place + 1; i <= r->n_places; i += i & -i) { r->tree[i] += bytes; }
}

/* Of the places before. */
static uint64_t sum(const struct recency * r, uint32_t place) {
    uint64_t bytes = 0;
    for (uint32_t i = place; i; i -= i & -i) { bytes += r->tree[i]; }
    return bytes;
}

/* Only last accesses count: they move together, in their order. */
static void compact(struct recency * r) {
    uint32_t kept = 0;
    memset(r->tree, 0, ((size_t) r->n_places + 1) * sizeof *r->tree);
    for (uint32_t i = 0; i < r->next; i++) {
        const uint32_t item = r->item_at[i];
        if (item == r->n_items) { continue; }
        r->item_at[kept] = item;
        r->slot[item] = kept + 1;
        add(r, kept++, weight(r, item));
    }
    r->next = kept;
}

uint64_t recency_access(struct recency * r, uint32_t item) {
    uint64_t distance = NEVER_BEFORE;
    if (r->next == r->n_places) { compact(r); }
    if (r->slot[item]) {
        const uint32_t place = r->slot[item] - 1;
        distance = sum(r, r->next) - sum(r, place);
        add(r, place, -weight(r, item));
        r->item_at[place] = r->n_items;
    }
    r->item_at[r->next] = item;
    add(r, r->next, weight(r, item));
    r->slot[item] = ++r->next;
    return distance;
}
