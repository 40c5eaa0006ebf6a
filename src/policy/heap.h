/* SPDX-License-Identifier: MIT
 *
 * Items by rank: the one to go first is found at once. Ranks mostly come in order, since what was accessed last goes
 * last. Such items form a run, a list in order, at either end of which an item is added in O(1). The others are in a
 * tree, which takes O(log n).
 */
#ifndef TAT_POLICY_HEAP_H
#define TAT_POLICY_HEAP_H

#include <stdbool.h>
#include <stdint.h>

/* The lowest value goes first, of equals what was accessed longest ago. */
struct rank {
    uint64_t value, accessed;
};

struct heap_entry {
    struct rank rank;
    uint32_t item;
};

struct heap_link {
    struct rank rank;
    uint32_t before, after;
};

struct heap {
    struct heap_entry * entry; /* the tree; four children each: less deep than two, and they lie together */
    uint32_t * place;          /* by item in it: its place in the tree, or IN_RUN */
    struct heap_link * link;   /* by item, and behind them the end, which closes the run to a ring */
    uint32_t n_items, in_tree, count;
};

/* Room for items below n_items; false: memory. End it in either case. */
bool heap_begin(struct heap * h, uint32_t n_items);
void heap_end(struct heap * h);

void heap_add(struct heap * h, uint32_t item, struct rank rank);      /* one that is not in it */
void heap_set_rank(struct heap * h, uint32_t item, struct rank rank); /* of one that is */
void heap_remove(struct heap * h, uint32_t item);                     /* likewise */
struct heap_entry heap_pop(struct heap * h);                          /* the first of a heap that is not empty */

#define IN_RUN UINT32_MAX

static inline bool rank_is_before(struct rank a, struct rank b) {
    return (a.value < b.value) | ((a.value == b.value) & (a.accessed < b.accessed));
}

/* Of a heap that is not empty. */
static inline struct heap_entry heap_first(const struct heap * h) {
    const uint32_t first = h->link[h->n_items].after;
    const bool has_run = first != h->n_items;
    if (h->in_tree && !(has_run && rank_is_before(h->link[first].rank, h->entry[0].rank))) { return h->entry[0]; }
    return (struct heap_entry){ h->link[first].rank, first };
}

static inline struct rank heap_rank(const struct heap * h, uint32_t item) {
    return h->place[item] == IN_RUN ? h->link[item].rank : h->entry[h->place[item]].rank;
}

#endif
