/* SPDX-License-Identifier: MIT
 *
 * The string of references to blocks. All blocks that are read are counted; those of the sample, in the order of their
 * addresses, are the items, so that what a reference reads is a range of items.
 */
#include <stdlib.h>
#include <string.h>

#include "analysis/caching/cache_string.h"

enum {
    NUMBERS_MAX = 1 << 24,  /* blocks that the space may have */
    WORK_MAX = 1 << 28,     /* blocks and rows that are looked at one by one in a pass; no real run has as many */
    SAMPLED_LEAST = 1 << 9, /* items, below which a sample says too little */
    SAMPLE_MOST = 1 << 16,
};

struct blocks {
    const struct references * references;
    uint64_t bytes;  /* of a block */
    uint64_t * read; /* a bit for each block of the space */
    bool * known;    /* by slice: it was looked at in this pass */
    uint64_t work;   /* of this pass */
};

static void begin_pass(struct blocks * b) {
    memset(b->known, 0, b->references->slices.count);
    b->work = 0;
}

/* The blocks of a run, which is not empty. */
struct block_range {
    uint64_t first, count;
};

static struct block_range blocks_of(uint64_t address, uint64_t bytes, uint64_t block) {
    const uint64_t first = address / block;
    return (struct block_range){ first, (address + (bytes ? bytes - 1 : 0)) / block - first + 1 };
}

static bool is_placed(const struct references * r, const struct extent_read * e) {
    if (e->rows == 0 || e->address >= r->space) { return false; }
    const __uint128_t span = (__uint128_t) e->stride * (e->rows - 1) + e->run;
    return span <= r->space - e->address;
}

/* Whether a reference counts. Tells whether it is looked at for the first time in this pass: a slice is, once. */
static bool admit(struct blocks * b, uint32_t ref, const struct extent_read * e, bool * fresh) {
    const struct references * r = b->references;
    *fresh = !is_slice(r, ref) || !b->known[ref];
    if (!is_placed(r, e)) { return false; }
    if (!*fresh) { return true; }
    const __uint128_t work = (__uint128_t) (1 + blocks_of(e->address, e->run, b->bytes).count) * e->rows;
    if (work > WORK_MAX - b->work) { return false; }
    b->work += (uint64_t) work;
    if (is_slice(r, ref)) { b->known[ref] = true; }
    return true;
}

/* Calls `take` with each range of blocks that a reference reads. Rows that touch the block of the row before do not
 * read it again. */
typedef bool (*range_sink)(void * state, struct block_range range);

static bool each_range(const struct extent_read * e, uint64_t block, range_sink take, void * state) {
    uint64_t next = 0; /* the first block that no row has read yet */
    for (uint32_t row = 0; row < e->rows; row++) {
        struct block_range range = blocks_of(e->address + e->stride * row, e->run, block);
        if (range.first + range.count <= next) { continue; }
        if (range.first < next) { range = (struct block_range){ next, range.first + range.count - next }; }
        next = range.first + range.count;
        if (!take(state, range)) { return false; }
    }
    return true;
}

/* ---- counting ---- */

static size_t read_size(const struct cache_string * s) {
    return (s->references->space / s->unit / 64 + 1) * sizeof(uint64_t);
}

struct count {
    struct blocks * blocks;
    bool mark;
    uint64_t reads, new;
};

static bool count_range(void * state, struct block_range range) {
    struct count * c = state;
    c->reads += range.count;
    for (uint64_t i = range.first; c->mark && i < range.first + range.count; i++) {
        const uint64_t bit = (uint64_t) 1 << i % 64;
        c->new += !(c->blocks->read[i / 64] & bit);
        c->blocks->read[i / 64] |= bit;
    }
    return true;
}

/* All blocks, whether they are items or not. */
static void count_all(struct cache_string * s, struct blocks * b, size_t graphs) {
    const struct references * r = s->references;
    begin_pass(b);
    memset(b->read, 0, read_size(s));
    s->first = s->repeat = (struct phase_bytes){ 0 };
    for (size_t m = 0; m < graphs; m++) {
        const bool generated = mark_phase(r, m) == TAT_PHASE_GENERATE;
        for (size_t i = mark_at(r, m)->first; i < mark_at(r, m + 1)->first; i++) {
            const struct extent_read e = reference_extent(r, reference_at(r, i));
            struct count found = { .blocks = b };
            if (!admit(b, reference_at(r, i), &e, &found.mark)) { continue; }
            each_range(&e, b->bytes, count_range, &found);
            add_to(&s->first, generated, found.new * s->unit);
            add_to(&s->repeat, generated, (found.reads - found.new) * s->unit);
        }
    }
}

/* ---- sampling ---- */

/* splitmix64's finalizer (Steele, Lea, Flood: Fast splittable pseudorandom number generators, OOPSLA 2014). */
static uint64_t mix(uint64_t x) {
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

static bool is_sampled(const struct cache_string * s, uint64_t block, unsigned half) {
    const uint64_t hash = mix(block + 1);
    return hash % s->sample == 0 && (half == 0 || hash / s->sample % 2 == half - 1);
}

static uint32_t choose_sample(const struct cache_string * s, const struct string_request * request) {
    const uint64_t blocks = sum(s->first) / s->unit, reads = blocks + sum(s->repeat) / s->unit;
    uint32_t sample = 1;
    if (!request->sampled) { return 1; }
    while (sample < SAMPLE_MOST && reads / sample > request->most && blocks / sample / 2 >= SAMPLED_LEAST) {
        sample *= 2;
    }
    return sample;
}

static bool select_blocks(struct cache_string * s, const struct blocks * b, unsigned half) {
    for (uint64_t word = 0; word < read_size(s) / sizeof b->read[0]; word++) {
        for (uint64_t bits = b->read[word]; bits; bits &= bits - 1) {
            const uint64_t block = word * 64 + (uint64_t) __builtin_ctzll(bits);
            if (!is_sampled(s, block, half)) { continue; }
            uint64_t * selected = list_extend(&s->selected, sizeof *selected, 1);
            if (!selected) { return false; }
            *selected = block;
        }
    }
    s->n_items = s->selected.count;
    s->bytes = malloc(((size_t) s->n_items + 1) * sizeof *s->bytes);
    s->value = calloc((size_t) s->n_items + 1, sizeof *s->value);
    for (uint32_t i = 0; i < s->n_items && s->bytes; i++) { s->bytes[i] = s->unit; }
    return s->bytes && s->value;
}

/* ---- listing ---- */

/* The first item at or behind a block. */
static uint32_t find_item(const struct cache_string * s, uint64_t block) {
    uint32_t low = 0, high = s->n_items;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (LIST(const uint64_t, s->selected)[middle] < block) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool add_range(void * state, struct block_range range) {
    struct cache_string * s = state;
    const uint32_t first = find_item(s, range.first), end = find_item(s, range.first + range.count);
    uint32_t * items = list_extend(&s->items, sizeof *items, end - first);
    if (!items) { return first == end; }
    for (uint32_t i = first; i < end; i++) {
        *items++ = i;
        s->value[i]++;
    }
    return true;
}

static bool add_graph(struct cache_string * s, struct blocks * b, size_t mark, size_t most) {
    const struct references * r = s->references;
    const bool generated = mark_phase(r, mark) == TAT_PHASE_GENERATE;
    bool fresh;
    for (size_t i = mark_at(r, mark)->first; i < mark_at(r, mark + 1)->first; i++) {
        const struct extent_read e = reference_extent(r, reference_at(r, i));
        if (s->items.count > 4 * most || !admit(b, reference_at(r, i), &e, &fresh)) { /* no real graph is so large */
            s->unplaced++;
            continue;
        }
        add_to(&s->wanted, generated, extent_read_bytes(&e));
        if (!each_range(&e, s->unit, add_range, s)) { return false; }
    }
    return cache_string_end_graph(s, mark);
}

/* What was looked at, by the phase of its first reads and of the others. */
static bool count_sampled(struct cache_string * s) {
    bool * read = calloc((size_t) s->n_items + 1, sizeof *read);
    if (!read) { return false; }
    uint32_t i = 0;
    for (uint32_t g = 0; g < s->graphs.count; g++) {
        for (; i < graph_at(s, g)->end; i++) {
            const uint32_t item = item_at(s, i);
            add_to(read[item] ? &s->repeat_sampled : &s->first_sampled, graph_at(s, g)->generated, s->unit);
            read[item] = true;
        }
    }
    free(read);
    return true;
}

static bool add_graphs(struct cache_string * s, struct blocks * b, size_t most) {
    const size_t all = s->references->marks.count;
    begin_pass(b);
    for (size_t m = 0; m < all && s->items.count < 2 * most; m++) {
        if (!add_graph(s, b, m, most)) { return false; }
    }
    if (s->graphs.count < all) { count_all(s, b, s->graphs.count); }
    return count_sampled(s);
}

bool cache_string_add_blocks(struct cache_string * s, const struct string_request * request) {
    const struct references * r = s->references;
    while (r->space / s->unit > NUMBERS_MAX) { s->unit *= 2; }
    struct blocks b = { .references = r, .bytes = s->unit, .read = malloc(read_size(s)) };
    b.known = malloc((size_t) r->slices.count + 1);
    bool good = b.read && b.known;
    if (good) {
        count_all(s, &b, r->marks.count);
        s->sample = choose_sample(s, request);
        good = select_blocks(s, &b, request->half) && add_graphs(s, &b, request->most);
    }
    free(b.read);
    free(b.known);
    return good;
}
