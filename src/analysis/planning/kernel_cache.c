/* SPDX-License-Identifier: MIT
 *
 * What of Linux matters here (mm/vmscan.c, mm/workingset.c, mm/filemap.c, mm/readahead.c), without its
 * multi-generational lists:
 *
 * - What is read comes to the head of the inactive list, whether it was asked for or is read ahead. At its tail, what
 *   was touched since it was last looked at comes to the head again, and the next time to the active list. What was not
 *   touched, or not again, is evicted. So what is read ahead is evicted before what has just been used.
 * - Of the active list, as much comes back as makes the inactive one no shorter.
 * - What is evicted and read again soon, so that it would have stayed had the active list been inactive, comes to the
 *   active list.
 * - A fault reads half of a window before the page and half behind it. Three quarters into the window there is a mark.
 *   Touching that reads the next window, which has its mark at its begin.
 */
#include "analysis/planning/kernel_cache.h"

#include <stdlib.h>

#define NO_BLOCK UINT32_MAX
enum { NEVER = 0 };

enum place { ABSENT, INACTIVE, ACTIVE, PLACES };

struct block {
    uint32_t before, after; /* in its list; `before` is nearer to the head */
    uint32_t evicted;       /* the age then; NEVER: it was not */
    uint8_t place;          /* enum place */
    bool touched, seen;     /* since it was looked at; it was, and had been touched */
    bool marked;
};

struct list_ends {
    uint32_t head, tail, count;
};

struct cache {
    const struct cache_string * s;
    struct block * block;
    uint32_t n_blocks;
    struct list_ends list[PLACES];
    uint64_t capacity; /* blocks */
    uint32_t age;      /* evictions and activations so far, and 1 */
    uint32_t window;
    uint32_t start, size, marked_size; /* what was read ahead last */
    uint64_t read;                     /* blocks */
};

/* ---- lists ---- */

static void take_out(struct cache * c, uint32_t i) {
    struct block * b = &c->block[i];
    struct list_ends * l = &c->list[b->place];
    *(b->before != NO_BLOCK ? &c->block[b->before].after : &l->head) = b->after;
    *(b->after != NO_BLOCK ? &c->block[b->after].before : &l->tail) = b->before;
    l->count--;
    b->place = ABSENT;
}

static void put_first(struct cache * c, uint32_t i, enum place place) {
    struct block * b = &c->block[i];
    struct list_ends * l = &c->list[place];
    b->place = (uint8_t) place;
    b->before = NO_BLOCK;
    b->after = l->head;
    *(l->head != NO_BLOCK ? &c->block[l->head].before : &l->tail) = i;
    l->head = i;
    l->count++;
}

static void activate(struct cache * c, uint32_t i) {
    put_first(c, i, ACTIVE);
    c->age++;
}

/* ---- evicting ---- */

static void evict(struct cache * c, uint32_t i) {
    struct block * b = &c->block[i];
    *b = (struct block){ .evicted = c->age++ };
}

/* Looks at the inactive list's last block. */
static void look(struct cache * c) {
    const uint32_t i = c->list[INACTIVE].tail;
    struct block * b = &c->block[i];
    take_out(c, i);
    if (!b->touched) {
        evict(c, i);
        return;
    }
    b->touched = false;
    if (b->seen) {
        b->seen = false;
        activate(c, i);
    } else {
        b->seen = true;
        put_first(c, i, INACTIVE);
    }
}

static void make_room(struct cache * c) {
    while (c->list[INACTIVE].count + c->list[ACTIVE].count >= c->capacity) {
        while (c->list[INACTIVE].count <= c->list[ACTIVE].count) {
            const uint32_t last = c->list[ACTIVE].tail;
            take_out(c, last);
            c->block[last].touched = c->block[last].seen = false;
            put_first(c, last, INACTIVE);
        }
        look(c);
    }
}

/* ---- reading ---- */

static void read_block(struct cache * c, uint32_t i) {
    struct block * b = &c->block[i];
    make_room(c);
    const bool is_soon = b->evicted != NEVER && c->age - b->evicted <= c->list[ACTIVE].count;
    b->touched = b->seen = b->marked = false;
    if (is_soon) {
        activate(c, i);
    } else {
        put_first(c, i, INACTIVE);
    }
    c->read++;
}

/* Behind the last block of the file that the block is in. */
static uint32_t file_end(const struct cache * c, uint32_t i) {
    const uint64_t unit = c->s->unit, end = references_file_end(c->s->references, i * unit);
    const uint64_t last = end / unit + (end % unit != 0);
    return end != UINT64_MAX && last < c->n_blocks ? (uint32_t) last : c->n_blocks;
}

static bool is_same_file(const struct cache * c, uint32_t i, uint32_t k) {
    const struct references * r = c->s->references;
    return references_file_end(r, i * c->s->unit) == references_file_end(r, k * c->s->unit);
}

static void read_window(struct cache * c, uint32_t end) {
    const uint32_t mark = c->start + c->size - c->marked_size;
    for (uint32_t i = c->start; i < c->start + c->size && i < end; i++) {
        if (c->block[i].place != ABSENT) { continue; }
        read_block(c, i);
        c->block[i].marked = i == mark;
    }
}

static void fault(struct cache * c, uint32_t i) {
    const uint32_t before = c->window / 2;
    c->start = i > before ? i - before : 0;
    while (c->start < i && !is_same_file(c, c->start, i)) { c->start++; }
    c->size = c->window;
    c->marked_size = c->window / 4;
    read_window(c, file_end(c, i));
    if (c->block[i].place == ABSENT) { read_block(c, i); } /* the window is larger than the cache */
}

static void reach_mark(struct cache * c, uint32_t i) {
    const uint32_t end = file_end(c, i);
    uint32_t next = c->start + c->size;
    c->block[i].marked = false;
    if (i != next - c->marked_size) {
        for (next = i + 1; next < end && c->block[next].place != ABSENT;) { next++; }
        if (next - i > c->window) { return; }
    }
    c->start = next;
    c->size = c->marked_size = c->window;
    read_window(c, end);
}

static void touch(struct cache * c, uint32_t i) {
    if (c->block[i].place == ABSENT) {
        fault(c, i);
    } else if (c->block[i].marked) {
        reach_mark(c, i);
        if (c->block[i].place == ABSENT) { read_block(c, i); }
    }
    c->block[i].touched = true;
}

/* ---- all ---- */

static uint32_t block_of(const struct cache_string * s, uint32_t item) {
    return (uint32_t) LIST(const uint64_t, s->selected)[item];
}

/* As far as a window reaches behind the last block. */
static bool begin(struct cache * c, const struct cache_string * s, uint64_t capacity, uint64_t ahead) {
    enum { BLOCKS_MAX = 1 << 24 };
    const uint64_t window = ahead / s->unit, last = s->n_items ? LIST(const uint64_t, s->selected)[s->n_items - 1] : 0;
    *c = (struct cache){ .s = s, .age = NEVER + 1, .capacity = capacity / s->unit };
    if (last >= BLOCKS_MAX) { return false; } /* a string has no more */
    c->window = window < 1 ? 1 : window < BLOCKS_MAX ? (uint32_t) window : BLOCKS_MAX;
    c->n_blocks = (uint32_t) last + 1;
    if (c->capacity < 2) { c->capacity = 2; } /* one that is read, and one that is used */
    for (int i = 0; i < PLACES; i++) { c->list[i] = (struct list_ends){ NO_BLOCK, NO_BLOCK, 0 }; }
    c->block = calloc(c->n_blocks, sizeof *c->block);
    return c->block;
}

bool kernel_cache_run(const struct cache_string * s, uint64_t capacity, uint64_t ahead, uint64_t * by_graph) {
    struct cache c;
    uint32_t i = 0;
    const bool good = begin(&c, s, capacity, ahead);
    for (uint32_t g = 0; g < s->graphs.count && c.block; g++) {
        const uint64_t before = c.read;
        for (; i < graph_at(s, g)->end; i++) { touch(&c, block_of(s, item_at(s, i))); }
        by_graph[g] = (c.read - before) * s->unit;
    }
    free(c.block);
    return good;
}
