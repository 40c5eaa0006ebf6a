/* SPDX-License-Identifier: MIT */
#include "analysis/caching/cache_string.h"

#include <stdlib.h>

/* ---- slices and experts ---- */

/* The stacks of one layer that hold as many experts share their items. Sets, for each such stack but the first, 1 + the
 * number of the first. False: memory. */
static bool find_shared(const struct cache_string * s, uint32_t * shared) {
    const struct references * r = s->references;
    const uint32_t span = layer_span(r->subject);
    uint32_t * stack = calloc((size_t) span + 1, sizeof *stack); /* by layer: 1 + its first */
    for (uint32_t t = 0; t < r->subject->n_tensors && stack; t++) {
        const uint32_t n = slices_of(&r->slices, t), layer = r->subject->tensors[t].layer;
        if (n < 2 || layer >= span) { continue; }
        if (!stack[layer]) {
            stack[layer] = t + 1;
        } else if (slices_of(&r->slices, stack[layer] - 1) == n) {
            shared[t] = stack[layer];
        }
    }
    free(stack);
    return stack;
}

/* The first item of each tensor; NULL: memory. */
static uint32_t * number_items(struct cache_string * s) {
    const uint32_t n_tensors = s->references->subject->n_tensors;
    uint32_t * shared = calloc((size_t) n_tensors + 1, sizeof *shared);
    uint32_t * base = calloc((size_t) n_tensors + 1, sizeof *base);
    if (!shared || !base || (s->unit == TAT_CACHE_EXPERT && !find_shared(s, shared))) {
        free(shared);
        free(base);
        return NULL;
    }
    for (uint32_t t = 0; t < n_tensors; t++) {
        base[t] = shared[t] ? base[shared[t] - 1] : s->n_items;
        s->n_items += shared[t] ? 0 : slices_of(&s->references->slices, t);
    }
    free(shared);
    return base;
}

static bool size_items(struct cache_string * s, const uint32_t * base, uint32_t * item_of) {
    const struct references * r = s->references;
    s->bytes = calloc((size_t) s->n_items + 1, sizeof *s->bytes);
    s->value = calloc((size_t) s->n_items + 1, sizeof *s->value);
    s->slice = calloc((size_t) s->n_items + 1, sizeof *s->slice);
    if (!s->bytes || !s->value || !s->slice) { return false; }
    for (uint32_t slice = r->slices.count; slice-- > 0;) {
        const uint32_t tensor = r->slices.tensor[slice];
        item_of[slice] = base[tensor] + slice - r->slices.first[tensor];
        s->bytes[item_of[slice]] += r->bytes[slice];
        s->slice[item_of[slice]] = slice;
    }
    return true;
}

struct seen {
    const uint32_t * item_of; /* by slice */
    uint32_t * graph;         /* by item: 1 + the graph that read it last; 0: none */
};

/* An expert that several of its tensors' slices are read of is read once a graph. */
static bool add_slice(struct cache_string * s, const struct seen * seen, uint32_t slice, bool generated) {
    const uint32_t item = seen->item_of[slice], graph = s->graphs.count + 1, before = seen->graph[item];
    const bool is_part = s->bytes[item] != s->references->bytes[slice];
    seen->graph[item] = graph;
    if (is_part && before == graph) { return true; }
    add_to(before ? &s->repeat : &s->first, generated, s->bytes[item]);
    uint32_t * added = list_extend(&s->items, sizeof *added, 1);
    if (!added) { return false; }
    *added = item;
    s->value[item]++;
    return true;
}

static bool add_graph(struct cache_string * s, const struct seen * seen, size_t mark) {
    const struct references * r = s->references;
    const bool generated = mark_phase(r, mark) == TAT_PHASE_GENERATE;
    for (size_t i = mark_at(r, mark)->first; i < mark_at(r, mark + 1)->first; i++) {
        const uint32_t ref = reference_at(r, i);
        const struct extent_read e = reference_extent(r, ref);
        add_to(&s->wanted, generated, extent_read_bytes(&e));
        if (!is_slice(r, ref)) {
            add_to(&s->rows, generated, extent_read_bytes(&e));
        } else if (!add_slice(s, seen, ref, generated)) {
            return false;
        }
    }
    return cache_string_end_graph(s, mark);
}

/* Whole graphs until the string is long enough. */
static bool add_slices(struct cache_string * s, size_t most) {
    const struct references * r = s->references;
    uint32_t * base = number_items(s);
    uint32_t * item_of = calloc((size_t) r->slices.count + 1, sizeof *item_of);
    uint32_t * graph = calloc((size_t) s->n_items + 1, sizeof *graph);
    bool good = base && item_of && graph && size_items(s, base, item_of);
    const struct seen seen = { item_of, graph };
    for (size_t m = 0; m < r->marks.count && s->items.count < most && good; m++) {
        const size_t more = mark_at(r, m + 1)->first - mark_at(r, m)->first;
        if (more > most && s->items.count + more > 2 * most) { break; } /* as no real model has */
        good = add_graph(s, &seen, m);
    }
    free(base);
    free(item_of);
    free(graph);
    return good;
}

/* ---- all ---- */

bool cache_string_make(struct cache_string * s, const struct references * r, const struct string_request * request) {
    *s = (struct cache_string){ .references = r, .unit = request->unit, .sample = 1 };
    if (is_of_blocks(s)) { return cache_string_add_blocks(s, request); }
    const bool good = add_slices(s, request->most);
    s->first_sampled = s->first;
    s->repeat_sampled = s->repeat;
    return good;
}

void cache_string_free(struct cache_string * s) {
    free(s->items.data);
    free(s->graphs.data);
    free(s->selected.data);
    free(s->bytes);
    free(s->value);
    free(s->slice);
}

static uint64_t scale(uint64_t x, uint64_t by, uint64_t of) {
    return of ? (uint64_t) ((__uint128_t) x * by / of) : 0;
}

uint64_t cache_string_capacity(const struct cache_string * s, uint64_t capacity) {
    if (!is_of_blocks(s)) { return capacity; }
    if (s->sample > 1) { capacity = scale(capacity, sum(s->first_sampled), sum(s->first)); }
    return capacity / s->unit * s->unit;
}

struct again cache_string_scaled(const struct cache_string * s, struct again again) {
    if (s->sample == 1) { return again; }
    return (struct again){ scale(again.all, sum(s->repeat), sum(s->repeat_sampled)),
                           scale(again.generated, s->repeat.generated, s->repeat_sampled.generated) };
}

void cache_string_order(const struct cache_string * s, uint32_t * next, uint32_t * first) {
    for (uint32_t item = 0; item < s->n_items; item++) { first[item] = NO_READ; }
    for (uint32_t i = s->items.count; i-- > 0;) { /* from the end: the read met last is the next one */
        next[i] = first[item_at(s, i)];
        first[item_at(s, i)] = i;
    }
}

bool cache_string_end_graph(struct cache_string * s, size_t mark) {
    const struct references * r = s->references;
    const bool generated = mark_phase(r, mark) == TAT_PHASE_GENERATE;
    struct string_graph * graph = list_add(&s->graphs, sizeof *graph);
    if (!graph) { return false; }
    *graph = (struct string_graph){ s->items.count, generated };
    if (generated) { s->tokens += r->subject->evaluations[mark_at(r, mark)->evaluation].n_tokens; }
    return true;
}
