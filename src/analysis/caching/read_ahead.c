/* SPDX-License-Identifier: MIT */
#include "analysis/caching/read_ahead.h"

#include <stdlib.h>

enum { BLOCKS_MAX = 1 << 22 };

/* Behind the last block of the window that a block is in. */
static uint64_t window_end(const struct ahead_string * a, uint64_t block) {
    const uint64_t unit = a->string->unit, file = references_file_end(a->string->references, block * unit);
    const uint64_t end = (block / a->window + 1) * a->window, last = file / unit + (file % unit != 0);
    return last > block && last < end ? last : end;
}

/* All blocks of windows that are read of, in order; counts them where `a` has no room for them yet. */
static void find_blocks(struct ahead_string * a) {
    const struct cache_string * s = a->string;
    uint64_t next = 0; /* the first block that is not in it yet */
    a->n_items = 0;
    for (uint32_t i = 0; i < s->n_items && !a->too_many; i++) {
        const uint64_t block = LIST(const uint64_t, s->selected)[i], begin = block / a->window * a->window;
        const uint64_t end = window_end(a, block);
        for (next = next > begin ? next : begin; next < end && a->n_items < BLOCKS_MAX; next++) {
            if (a->block) { a->block[a->n_items] = next; }
            a->n_items++;
        }
        a->too_many = next < end;
        if (a->item) { a->item[i] = a->n_items - (uint32_t) (next - block); }
    }
}

bool ahead_begin(struct ahead_string * a, const struct cache_string * s, uint32_t window) {
    *a = (struct ahead_string){ .string = s, .window = window };
    find_blocks(a);
    if (a->too_many) { return true; }
    a->block = malloc(((size_t) a->n_items + 1) * sizeof *a->block);
    a->bytes = malloc(((size_t) a->n_items + 1) * sizeof *a->bytes);
    a->item = malloc(((size_t) s->n_items + 1) * sizeof *a->item);
    if (!a->block || !a->bytes || !a->item) { return false; }
    find_blocks(a);
    for (uint32_t i = 0; i < a->n_items; i++) { a->bytes[i] = s->unit; }
    return true;
}

void ahead_end(struct ahead_string * a) {
    free(a->block);
    free(a->bytes);
    free(a->item);
}

struct ahead_cache {
    const struct ahead_string * a;
    struct policy * policy;
    bool * unasked; /* by item: read, and not asked for since */
    struct ahead_reads * reads;
    bool generated;
};

static void drop_evicted(struct ahead_cache * c) {
    uint32_t n;
    const uint32_t * evicted = policy_evicted(c->policy, &n);
    for (uint32_t i = 0; i < n; i++) {
        if (c->unasked[evicted[i]]) { add_to(&c->reads->vain, c->generated, c->a->string->unit); }
        c->unasked[evicted[i]] = false;
    }
}

static void read_block(struct ahead_cache * c, uint32_t item, bool asked) {
    add_to(&c->reads->read, c->generated, c->a->string->unit);
    policy_access(c->policy, item);
    c->unasked[item] = !asked;
    drop_evicted(c);
    if (asked || policy_bytes_held(c->policy, item)) { return; }
    c->unasked[item] = false; /* the policy passed it by */
    add_to(&c->reads->vain, c->generated, c->a->string->unit);
}

static void ask(struct ahead_cache * c, uint32_t item) {
    const struct ahead_string * a = c->a;
    c->unasked[item] = false;
    if (policy_bytes_held(c->policy, item)) {
        policy_access(c->policy, item);
        drop_evicted(c);
        return;
    }
    const uint64_t window = a->block[item] / a->window;
    uint32_t first = item, end = item + 1;
    while (first > 0 && a->block[first - 1] / a->window == window) { first--; }
    while (end < a->n_items && a->block[end] / a->window == window) { end++; }
    for (uint32_t i = first; i < end; i++) {
        if (i != item && !policy_bytes_held(c->policy, i)) { read_block(c, i, false); }
    }
    read_block(c, item, true);
    add_to(&c->reads->requests, c->generated, 1);
}

bool ahead_simulate(const struct ahead_string * a, const struct policy_kind * kind, uint64_t capacity,
                    struct ahead_reads * reads, uint64_t * by_graph) {
    const struct cache_string * s = a->string;
    const struct policy_items items = { a->bytes, NULL, a->n_items };
    struct ahead_cache c = { .a = a, .reads = reads };
    c.policy = policy_new(kind, capacity, &items);
    c.unasked = calloc((size_t) a->n_items + 1, sizeof *c.unasked);
    const bool good = c.policy && c.unasked;
    uint32_t i = 0;
    *reads = (struct ahead_reads){ 0 };
    for (uint32_t g = 0; g < s->graphs.count && good; g++) {
        c.generated = graph_at(s, g)->generated;
        const uint64_t before = sum(reads->read);
        for (; i < graph_at(s, g)->end; i++) { ask(&c, a->item[item_at(s, i)]); }
        if (by_graph) { by_graph[g] = sum(reads->read) - before; }
    }
    for (uint32_t item = 0; item < a->n_items && good; item++) {
        if (c.unasked[item]) { add_to(&reads->vain, c.generated, s->unit); }
    }
    policy_free(c.policy);
    free(c.unasked);
    return good;
}
