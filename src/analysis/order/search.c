/* SPDX-License-Identifier: MIT */
#include "analysis/order/search.h"

#include <stdlib.h>
#include <string.h>

/* ---- search ---- */

/* The cheapest way to each place at which the last block may have ended. */
struct ends {
    uint32_t count;
    uint64_t at[SEARCH_BLOCK], cost[SEARCH_BLOCK];
};

struct search {
    const struct element * elements;
    const struct depend * depend;
    struct ends ends;
    uint64_t * cost; /* by a set of the block's elements and the last of them; UINT64_MAX: impossible */
    bool * done;     /* by element */
};

static uint64_t enter(const struct ends * ends, uint64_t from) {
    uint64_t best = ends->count ? UINT64_MAX : 0;
    for (uint32_t i = 0; i < ends->count; i++) {
        const uint64_t cost = ends->cost[i] + distance(ends->at[i], from);
        if (cost < best) { best = cost; }
    }
    return best;
}

/* Tries all orders of elements [first, first + n). Returns how many steps it took. */
static uint64_t search_block(struct search * s, uint32_t first, uint32_t n) {
    const struct element * e = s->elements + first;
    uint32_t need[SEARCH_BLOCK] = { 0 };
    uint64_t work = 0;
    const uint32_t all = (1u << n) - 1;
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t j = 0; j < n; j++) {
            need[i] |= (uint32_t) depend_is_before(s->depend, first + j, first + i) << j;
        }
    }
    memset(s->cost, 0xff, ((size_t) n << n) * sizeof s->cost[0]);
    for (uint32_t i = 0; i < n; i++) {
        if (!need[i]) { s->cost[((size_t) 1 << i) * n + i] = enter(&s->ends, e[i].from) + e[i].within; }
    }
    for (uint32_t set = 1; set < all; set++) {
        for (uint32_t last = 0; last < n; last++) {
            const uint64_t cost = s->cost[(size_t) set * n + last];
            if (cost == UINT64_MAX) { continue; }
            work += n;
            for (uint32_t i = 0; i < n; i++) {
                if (set >> i & 1 || need[i] & ~set) { continue; }
                uint64_t * slot = &s->cost[((size_t) set | (size_t) 1 << i) * n + i];
                const uint64_t sum = cost + distance(e[last].end, e[i].from) + e[i].within;
                if (sum < *slot) { *slot = sum; }
            }
        }
    }
    s->ends.count = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (s->cost[(size_t) all * n + i] == UINT64_MAX) { continue; }
        s->ends.at[s->ends.count] = e[i].end;
        s->ends.cost[s->ends.count++] = s->cost[(size_t) all * n + i];
    }
    return work + ((uint64_t) 1 << n);
}

/* For more elements: takes the nearest that may come, again and again. */
static void schedule_block(struct search * s, uint32_t first, uint32_t n, uint32_t * need) {
    const struct element * e = s->elements + first;
    uint32_t from = 0;
    for (uint32_t i = 1; i < s->ends.count; i++) {
        if (s->ends.cost[i] < s->ends.cost[from]) { from = i; }
    }
    uint64_t at = s->ends.at[from], cost = s->ends.cost[from];
    bool placed = s->ends.count > 0;
    for (uint32_t i = 0; i < n; i++) {
        need[i] = 0;
        s->done[i] = false;
        for (uint32_t j = 0; j < n; j++) { need[i] += depend_is_before(s->depend, first + j, first + i); }
    }
    for (uint32_t step = 0; step < n; step++) {
        uint32_t next = n;
        for (uint32_t i = 0; i < n; i++) {
            if (s->done[i] || need[i]) { continue; }
            if (next == n || (placed && distance(at, e[i].from) < distance(at, e[next].from))) { next = i; }
        }
        if (placed) { cost += distance(at, e[next].from); }
        placed = true;
        cost += e[next].within;
        at = e[next].end;
        s->done[next] = true;
        for (uint32_t i = 0; i < n; i++) { need[i] -= depend_is_before(s->depend, first + next, first + i); }
    }
    s->ends = (struct ends){ .count = 1, .at = { at }, .cost = { cost } };
}

/* How many of the first elements all come before element i. */
static uint32_t leading(const struct depend * d, uint32_t i) {
    const uint64_t * before = d->before + (size_t) i * d->words;
    uint32_t w = 0;
    while (w < d->words && before[w] == UINT64_MAX) { w++; }
    return w * 64 + (w < d->words ? (uint32_t) __builtin_ctzll(~before[w]) : 0);
}

/* By element, whether a block begins there, which is so if all elements before it must come before all from it on. */
static void find_blocks(const struct depend * d, bool * begins) {
    uint32_t least = d->count;
    for (uint32_t i = d->count; i-- > 0;) {
        const uint32_t l = leading(d, i);
        if (l < least) { least = l; }
        begins[i] = least >= i;
    }
}

static void search_all(struct search * s, const bool * begins, uint32_t * need, uint64_t * work,
                       struct search_result * result) {
    const uint32_t n = s->depend->count;
    for (uint32_t first = 0, next; first < n; first = next) {
        for (next = first + 1; next < n && !begins[next];) { next++; }
        const uint32_t count = next - first;
        result->blocks++;
        if (count > result->largest_block) { result->largest_block = count; }
        if (count <= SEARCH_BLOCK && *work < SEARCH_WORK) {
            *work += search_block(s, first, count);
        } else {
            schedule_block(s, first, count, need);
            result->exact = false;
        }
    }
    for (uint32_t i = 0; i < s->ends.count; i++) {
        if (s->ends.cost[i] < result->best) { result->best = s->ends.cost[i]; }
    }
}

bool search_orders(const struct element * elements, const struct depend * depend, uint64_t * work,
                   struct search_result * result) {
    struct search s = { .elements = elements, .depend = depend };
    bool * begins = calloc((size_t) depend->count + 1, sizeof *begins);
    uint32_t * need = calloc((size_t) depend->count + 1, sizeof *need);
    s.cost = malloc(((size_t) SEARCH_BLOCK << SEARCH_BLOCK) * sizeof s.cost[0]);
    s.done = calloc((size_t) depend->count + 1, sizeof s.done[0]);
    const bool good = begins && need && s.cost && s.done;
    *result = (struct search_result){ .best = UINT64_MAX, .exact = true };
    if (good) {
        find_blocks(depend, begins);
        search_all(&s, begins, need, work, result);
    }
    free(s.done);
    free(s.cost);
    free(need);
    free(begins);
    return good;
}
