/* SPDX-License-Identifier: MIT
 *
 * Which pieces of a model's files stay in memory, which pass through it, and which are kept as a cache policy has it.
 * It knows neither models nor files: `tat plan` asks it of a trace, and the manager of the graph it is about to watch.
 */
#ifndef TAT_PLAN_PLACEMENT_H
#define TAT_PLAN_PLACEMENT_H

#include <stdbool.h>
#include <stdint.h>

enum placement_class {
    PLACE_LEAVE,  /* the file's own: the kernel reads it page by page when it is touched */
    PLACE_PIN,    /* in memory from its first use on */
    PLACE_STREAM, /* read ahead of its use in every token, and dropped after it */
    PLACE_CACHE,  /* kept or dropped as a cache policy says, read when a router has chosen it */
};

/* What may be done: a set of bits. Without STREAM or CACHE, what would be streamed or cached is left. */
enum { PLACE_MAY_PIN = 1, PLACE_MAY_STREAM = 2, PLACE_MAY_CACHE = 4 };

/* What is read as one, in the order in which a token needs it. */
struct placement_item {
    uint64_t bytes; /* of memory that it takes: whole pages */
    bool is_expert; /* needed only if a router chooses it */
    bool with_last; /* needed by the same operation as the item before it: they must be in memory together */
};

/* Bytes. `ring`: the memory that streamed items pass through; `cache`: that of cached ones. */
struct placement {
    uint64_t pinned, streamed, ring, cached, cache, left;
};

/* Writes the class of each item. Never plans with more than `budget` bytes: pinned + ring + cache. Dense items come
 * before experts, because each token needs all of them; what is streamed lies evenly between what is pinned, so that
 * the disk is busy while the rest is computed. Items that one operation needs together, and that are larger than the
 * ring, are all pinned. Where the budget does not allow that, so much is pinned of them that the others fit in it. */
struct placement placement_make(const struct placement_item * items, uint32_t count, uint64_t budget, unsigned may,
                                uint8_t * classes);

/* Of a cache for experts, what those take that the policy does not keep, while they are read and computed with: all
 * that a router chooses for a token, or room for two of the largest stacks if that is less, as far as that is a
 * quarter. `stack`: bytes of all experts of one; `chosen`: of those that are chosen of a layer, in all its stacks. */
uint64_t placement_scratch(uint64_t cache, uint64_t stack, uint64_t chosen);

#endif
