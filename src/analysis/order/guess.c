/* SPDX-License-Identifier: MIT */
#include "analysis/order/guess.h"

#include <stdlib.h>
#include <string.h>

/* ---- transitions ---- */

static uint32_t * slot_of(const struct transitions * t, uint32_t from, uint32_t to) {
    const uint64_t h = ((uint64_t) from << 32 | to) * 0x9e3779b97f4a7c15u;
    uint32_t i = (uint32_t) (h >> 32) & t->mask;
    for (; t->index[i]; i = (i + 1) & t->mask) {
        const struct transition * x = &t->at[t->index[i] - 1];
        if (x->from == from && x->to == to) { break; }
    }
    return &t->index[i];
}

static bool grow(struct transitions * t) {
    const uint32_t capacity = t->capacity ? t->capacity * 2 : 1024;
    uint32_t * index = calloc((size_t) capacity * 2, sizeof *index);
    struct transition * at = index ? realloc(t->at, capacity * sizeof *at) : NULL;
    if (!at) {
        free(index);
        t->failed = true;
        return false;
    }
    free(t->index);
    t->at = at;
    t->index = index;
    t->capacity = capacity;
    t->mask = capacity * 2 - 1;
    for (uint32_t i = 0; i < t->count; i++) { *slot_of(t, at[i].from, at[i].to) = i + 1; }
    return true;
}

static uint32_t transition_find(const struct transitions * t, uint32_t from, uint32_t to) {
    return t->count ? *slot_of(t, from, to) - 1 : NO_GUESS; /* 0 - 1: none */
}

/* The number of the transition, or NO_GUESS if there is no room for a new one. */
static uint32_t transition_count(struct transitions * t, uint32_t from, uint32_t to, uint64_t times) {
    if (t->count == t->capacity && t->count < TRANSITIONS_MAX && !grow(t)) { return NO_GUESS; }
    uint32_t * slot = slot_of(t, from, to);
    if (!*slot) {
        if (t->count == TRANSITIONS_MAX) {
            t->full = true;
            return NO_GUESS;
        }
        t->at[t->count] = (struct transition){ from, to, 0 };
        *slot = ++t->count;
    }
    t->at[*slot - 1].count += times;
    return *slot - 1;
}

/* The most frequent successor of each of n. NULL: no memory. */
static uint32_t * best_successors(const struct transitions * t, uint32_t n) {
    uint32_t * best = malloc(((size_t) n + 1) * sizeof *best); /* numbers of transitions, then what they lead to */
    if (!best) { return NULL; }
    for (uint32_t i = 0; i < n; i++) { best[i] = NO_GUESS; }
    for (uint32_t i = 0; i < t->count; i++) {
        uint32_t * b = &best[t->at[i].from];
        if (*b == NO_GUESS || t->at[i].count > t->at[*b].count) { *b = i; }
    }
    for (uint32_t i = 0; i < n; i++) {
        if (best[i] != NO_GUESS) { best[i] = t->at[best[i]].to; }
    }
    return best;
}

static void transitions_free(struct transitions * t) {
    free(t->at);
    free(t->index);
}

/* ---- passes ---- */

static bool make_room(struct guess * g, uint32_t n_symbols) {
    if (n_symbols <= g->n_symbols) { return true; }
    uint32_t * last = realloc(g->last, n_symbols * sizeof *last);
    if (!last) {
        g->failed = true;
        return false;
    }
    for (uint32_t i = g->n_symbols; i < n_symbols; i++) { last[i] = NO_GUESS; }
    g->last = last;
    g->n_symbols = n_symbols;
    return true;
}

void guess_learn(struct guess * g, struct tail * tail, const uint32_t * symbols, size_t n, uint32_t n_symbols,
                 uint64_t times) {
    if (!make_room(g, n_symbols)) { return; }
    for (size_t i = 0; i < n; i++) {
        const uint32_t from = tail->symbol, to = symbols[i];
        tail->symbol = to;
        if (from == NO_GUESS) { continue; }
        g->last[from] = to;
        if (tail->pair != NO_GUESS) { transition_count(&g->triples, tail->pair, to, times); }
        tail->pair = transition_count(&g->pairs, from, to, times);
    }
    g->failed |= g->pairs.failed || g->triples.failed;
}

void guess_freeze(struct guess * g) {
    g->n_frozen = g->n_symbols;
    g->frozen = malloc(((size_t) g->n_symbols + 1) * sizeof *g->frozen);
    g->best = best_successors(&g->pairs, g->n_symbols);
    g->best_after = best_successors(&g->triples, g->pairs.count);
    g->failed |= !g->frozen || !g->best || !g->best_after;
    if (g->n_symbols && g->frozen) { memcpy(g->frozen, g->last, g->n_symbols * sizeof *g->frozen); }
}

static inline void mark(struct score * s, uint32_t guess, uint32_t actual, uint64_t bytes, uint64_t times) {
    if (guess == actual) {
        s->hits += times;
        s->hit_bytes += bytes;
    }
    if (guess == NO_GUESS) { s->unknown += times; }
}

void guess_score(struct guess * g, struct tail * tail, const uint32_t * symbols, size_t n, uint32_t n_symbols,
                 const uint64_t * bytes, uint64_t times) {
    if (g->failed || !make_room(g, n_symbols)) { return; }
    for (size_t i = 0; i < n; i++) {
        const uint32_t from = tail->symbol, to = symbols[i];
        const uint64_t size = bytes ? times * bytes[to] : 0;
        uint32_t guess[GUESSERS] = { NO_GUESS, NO_GUESS, NO_GUESS, NO_GUESS };
        if (from != NO_GUESS) {
            guess[GUESS_LAST] = g->last[from];
            if (from < g->n_frozen) {
                guess[GUESS_FROZEN] = g->frozen[from];
                guess[GUESS_MARKOV_1] = g->best[from];
            }
            if (tail->pair != NO_GUESS) { guess[GUESS_MARKOV_2] = g->best_after[tail->pair]; }
            g->last[from] = to;
            tail->pair = transition_find(&g->pairs, from, to);
        }
        for (int k = 0; k < GUESSERS; k++) { mark(&g->score[k], guess[k], to, size, times); }
        tail->symbol = to;
        g->accesses += times;
        g->bytes += size;
    }
}

void guess_free(struct guess * g) {
    free(g->last);
    free(g->frozen);
    free(g->best);
    free(g->best_after);
    transitions_free(&g->pairs);
    transitions_free(&g->triples);
}
