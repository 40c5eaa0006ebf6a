/* SPDX-License-Identifier: MIT
 *
 * Guessing what is read next from what was read before: last occurrence and Markov chains.
 *
 * Trained on the first half of the generated tokens and scored on the second, so nothing is scored that was learnt
 * from. Only last occurrence has a variant that goes on learning, as it does in a running prefetcher.
 */
#ifndef TAT_ANALYSIS_ORDER_GUESS_H
#define TAT_ANALYSIS_ORDER_GUESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NO_GUESS UINT32_MAX

enum { TRANSITIONS_MAX = 1 << 20 }; /* of each order; later ones are not learnt, and that is said */

/* A transition: how often `to` came after `from`. */
struct transition {
    uint32_t from, to;
    uint64_t count;
};

struct transitions {
    struct transition * at; /* in the order of their first appearance */
    uint32_t count, capacity;
    uint32_t * index; /* a hash table of 1 + number */
    uint32_t mask;
    bool full, failed;
};

enum guesser {
    GUESS_LAST,   /* what followed this access last time, still learning */
    GUESS_FROZEN, /* the same, as of the end of the first half */
    GUESS_MARKOV_1,
    GUESS_MARKOV_2,
    GUESSERS
};

struct score {
    uint64_t hits, unknown; /* unknown: without a guess, which counts as a miss */
    uint64_t hit_bytes;
};

/* Predictors of one kind of symbol: tensors, or slices. Of successors with equal counts the one seen first wins. */
struct guess {
    uint32_t *last, *frozen, *best; /* by symbol */
    uint32_t * best_after;          /* by transition */
    uint32_t n_symbols, n_frozen;
    struct transitions pairs, triples; /* `from` is the number of a pair */
    struct score score[GUESSERS];
    uint64_t accesses, bytes; /* accesses scored */
    bool failed;
};

/* How far a sequence has come: the last symbol, and the number of the pair that it ended. */
struct tail {
    uint32_t symbol, pair;
};

static inline struct tail tail_begin(void) {
    return (struct tail){ NO_GUESS, NO_GUESS };
}

/* Continues with `symbols`, each below n_symbols, as if they came `times` times, each time after the same symbols.
 * `bytes`: of each symbol, or NULL. */
void guess_learn(struct guess * g, struct tail * tail, const uint32_t * symbols, size_t n, uint32_t n_symbols,
                 uint64_t times);
void guess_score(struct guess * g, struct tail * tail, const uint32_t * symbols, size_t n, uint32_t n_symbols,
                 const uint64_t * bytes, uint64_t times);
void guess_freeze(struct guess * g); /* called between the two halves */
void guess_free(struct guess * g);

#endif
