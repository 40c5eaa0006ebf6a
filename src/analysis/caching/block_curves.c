/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "analysis/caching/curves.h"
#include "analysis/caching/min_stack.h"
#include "analysis/caching/recency.h"

enum {
    BLOCK_LEAST = 64 << 10,
    BLOCK_MOST = 1 << 24,  /* the spaces' alignment */
    BLOCKS_GOOD = 1 << 14, /* different ones that are aimed at: MIN's cost grows with them */
    BLOCKS_MAX = 1 << 18,  /* 4 TiB of the largest */
    NUMBERS_MAX = 1 << 24,
    STRING_MAX = 1 << 23, /* references to blocks that are looked at, whole graphs */
};

struct block_read {
    uint32_t block : 31;
    uint32_t generated : 1;
};

struct string {
    uint32_t * number; /* by block of the space: 1 + its number in the order of first reads; 0: not read */
    struct list reads; /* struct block_read */
    uint32_t * next;   /* which of them reads the block again */
    uint32_t n_blocks;
};

static const struct block_read * read_at(const struct string * s, size_t i) {
    return &LIST(const struct block_read, s->reads)[i];
}

static void string_free(struct string * s) {
    free(s->number);
    free(s->reads.data);
    free(s->next);
}

/* The smallest blocks that keep the work bounded. */
static uint64_t choose_block(const struct references * r) {
    uint64_t block = BLOCK_LEAST, bytes = 0;
    for (uint32_t i = 0; i < r->slices.count; i++) { bytes += r->bytes[i]; }
    while (block < BLOCK_MOST && (bytes / block > BLOCKS_GOOD || r->space / block > NUMBERS_MAX)) { block *= 2; }
    return block;
}

static uint64_t blocks_of(const struct extent_read * e, uint64_t block) {
    return (e->address + (e->span ? e->span - 1 : 0)) / block - e->address / block + 1;
}

static bool is_placed(const struct references * r, const struct extent_read * e) {
    return e->address < r->space && e->span <= r->space - e->address;
}

/* How long the string may become: less where there are more blocks than were aimed at. */
static size_t string_most(const struct string * s) {
    return STRING_MAX / (1 + s->n_blocks / BLOCKS_GOOD);
}

/* False for a string that no real run makes: more blocks than any model has, or a graph that reads a model many times
 * over. */
static bool is_bearable(const struct string * s, uint64_t blocks) {
    return blocks <= BLOCKS_MAX - s->n_blocks && s->reads.count + blocks <= string_most(s) + BLOCKS_MAX;
}

static bool add_blocks(struct string * s, const struct extent_read * e, uint64_t block, bool generated) {
    const uint64_t first = e->address / block, n = blocks_of(e, block);
    struct block_read * read = list_extend(&s->reads, sizeof *read, n);
    if (!read) { return false; }
    for (uint64_t i = first; i < first + n; i++) {
        if (s->number[i] == 0) { s->number[i] = ++s->n_blocks; }
        *read++ = (struct block_read){ .block = s->number[i] - 1, .generated = generated };
    }
    return true;
}

/* Whole graphs until the string is long enough. */
static bool make_string(struct string * s, struct block_curves * c, const struct references * r) {
    const uint64_t space = r->space / c->block_bytes + 1;
    if (space > NUMBERS_MAX + 1) { return true; } /* no real run makes it: an empty string */
    s->number = calloc(space, sizeof *s->number);
    if (!s->number) { return false; }
    for (size_t m = 0; m < r->marks.count && s->reads.count < string_most(s); m++) {
        const bool generated = mark_phase(r, m) == TAT_PHASE_GENERATE;
        for (size_t i = mark_at(r, m)->first; i < mark_at(r, m + 1)->first; i++) {
            const struct extent_read e = reference_extent(r, reference_at(r, i));
            if (!is_placed(r, &e) || !is_bearable(s, blocks_of(&e, c->block_bytes))) {
                c->unplaced++;
                continue;
            }
            c->wanted += e.bytes;
            if (!add_blocks(s, &e, c->block_bytes, generated)) { return false; }
        }
        c->graphs++;
        if (generated) { c->tokens += r->subject->evaluations[mark_at(r, m)->evaluation].n_tokens; }
    }
    return true;
}

static bool find_next(struct string * s) {
    uint32_t * last = malloc(((size_t) s->n_blocks + 1) * sizeof *last);
    s->next = malloc(((size_t) s->reads.count + 1) * sizeof *s->next);
    if (!last || !s->next) {
        free(last);
        return false;
    }
    for (uint32_t i = 0; i < s->n_blocks; i++) { last[i] = NEVER_AGAIN; }
    for (size_t i = s->reads.count; i-- > 0;) {
        const uint32_t block = read_at(s, i)->block;
        s->next[i] = last[block];
        last[block] = (uint32_t) i;
    }
    free(last);
    return true;
}

/* A read at a depth is read again by all caches that are smaller: counted at the depth, summed up later. */
static void count_depth(struct again * curve, uint64_t depth, const struct block_read * read) {
    struct again * at = &curve[depth - 1];
    at->blocks++;
    at->generated += read->generated;
}

static bool run_lru(struct block_curves * c, const struct string * s) {
    struct recency recency;
    const bool good = recency_begin(&recency, s->n_blocks, NULL);
    c->block_reads = s->reads.count;
    for (size_t i = 0; i < s->reads.count && good; i++) {
        const struct block_read * read = read_at(s, i);
        const uint64_t depth = recency_access(&recency, read->block);
        if (depth != NEVER_BEFORE) { count_depth(c->lru, depth, read); }
    }
    recency_end(&recency);
    return good;
}

static bool run_min(struct block_curves * c, const struct string * s) {
    struct min_stack stack;
    const bool good = min_stack_begin(&stack, s->n_blocks);
    for (size_t i = 0; i < s->reads.count && good; i++) {
        const uint32_t depth = min_stack_access(&stack, s->next[i]);
        if (depth) { count_depth(c->min, depth, read_at(s, i)); }
    }
    min_stack_end(&stack);
    return good;
}

/* From reads at each depth to those at it or deeper. */
static void sum_up(struct again * curve, uint32_t n) {
    for (uint32_t i = n; i-- > 0;) {
        curve[i].blocks += curve[i + 1].blocks;
        curve[i].generated += curve[i + 1].generated;
    }
}

bool block_curves_make(struct block_curves * c, const struct references * r) {
    struct string s = { 0 };
    *c = (struct block_curves){ .block_bytes = choose_block(r) };
    bool good = make_string(&s, c, r) && find_next(&s);
    c->n_blocks = s.n_blocks;
    c->lru = calloc((size_t) s.n_blocks + 2, sizeof *c->lru);
    c->min = calloc((size_t) s.n_blocks + 2, sizeof *c->min);
    good = good && c->lru && c->min && run_lru(c, &s) && run_min(c, &s);
    if (good) {
        sum_up(c->lru, s.n_blocks);
        sum_up(c->min, s.n_blocks);
    }
    string_free(&s);
    return good;
}

void block_curves_free(struct block_curves * c) {
    free(c->lru);
    free(c->min);
}
