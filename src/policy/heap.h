/* SPDX-License-Identifier: MIT
 *
 * Items by rank: the one to go first is found at once, and ranks change in O(log n).
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

struct heap {
    struct heap_entry * entry; /* four children each: less deep than two, and they lie together */
    uint32_t * place;          /* by item in it: its place there */
    uint32_t count;
};

/* Room for items below n_items; false: memory. End it in either case. */
bool heap_begin(struct heap * h, uint32_t n_items);
void heap_end(struct heap * h);

void heap_add(struct heap * h, uint32_t item, struct rank rank);      /* one that is not in it */
void heap_set_rank(struct heap * h, uint32_t item, struct rank rank); /* of one that is */
void heap_remove(struct heap * h, uint32_t item);                     /* likewise */
struct heap_entry heap_pop(struct heap * h);                          /* the first of a heap that is not empty */

static inline struct heap_entry heap_first(const struct heap * h) {
    return h->entry[0];
}

static inline struct rank heap_rank(const struct heap * h, uint32_t item) {
    return h->entry[h->place[item]].rank;
}

#endif
