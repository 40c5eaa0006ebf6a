/* SPDX-License-Identifier: MIT
 *
 * Lists of items in the order in which they were added. All lists share the items: each is in one of them at most.
 */
#ifndef TAT_POLICY_LISTS_H
#define TAT_POLICY_LISTS_H

#include "policy/policy.h"

enum { NO_LIST, MOST_LISTS = 4 }; /* lists are numbered from 1 */

struct link {
    uint32_t older, newer;
};

struct lists {
    struct link * link; /* by item, and behind them an end for each list, which closes it to a ring */
    uint8_t * list;     /* by item: which it is in */
    struct policy_items items;
    uint64_t bytes[1 + MOST_LISTS]; /* by list */
};

/* `n` lists with nothing in them; false: memory. End it in either case. */
bool lists_begin(struct lists * l, const struct policy_items * items, unsigned n);
void lists_end(struct lists * l);

static inline uint32_t lists_end_of(const struct lists * l, unsigned list) {
    return l->items.count + list - 1;
}

static inline bool lists_is_empty(const struct lists * l, unsigned list) {
    return l->bytes[list] == 0;
}

/* Of a list that is not empty. */
static inline uint32_t lists_oldest(const struct lists * l, unsigned list) {
    return l->link[lists_end_of(l, list)].newer;
}

static inline uint32_t lists_newest(const struct lists * l, unsigned list) {
    return l->link[lists_end_of(l, list)].older;
}

/* An item that is in no list. */
static inline void lists_add(struct lists * l, unsigned list, uint32_t item) {
    const uint32_t end = lists_end_of(l, list), newest = l->link[end].older;
    l->link[item] = (struct link){ newest, end };
    l->link[newest].newer = item;
    l->link[end].older = item;
    l->list[item] = (uint8_t) list;
    l->bytes[list] += l->items.bytes[item];
}

/* An item that is in a list. */
static inline void lists_remove(struct lists * l, uint32_t item) {
    const struct link at = l->link[item];
    l->link[at.older].newer = at.newer;
    l->link[at.newer].older = at.older;
    l->bytes[l->list[item]] -= l->items.bytes[item];
    l->list[item] = NO_LIST;
}

/* From one list to the newest end of another, or of the same. */
static inline void lists_move(struct lists * l, unsigned list, uint32_t item) {
    lists_remove(l, item);
    lists_add(l, list, item);
}

#endif
