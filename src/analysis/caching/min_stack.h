/* SPDX-License-Identifier: MIT
 *
 * Belady's MIN at all cache sizes in one pass, for items of equal size: the smallest cache, in items, that would hold
 * the item of each access. MIN is a stack algorithm (Mattson, Gecsei, Slutz, Traiger: Evaluation techniques for storage
 * hierarchies, IBM Systems Journal 1970): in the stack an item moves down past those that are needed sooner.
 *
 * An access costs O(depth) at worst. Stretches of the stack whose items are all needed sooner than what moves down, as
 * in a loop over the model nearly all are, are passed by whole.
 */
#ifndef TAT_ANALYSIS_CACHING_MIN_STACK_H
#define TAT_ANALYSIS_CACHING_MIN_STACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NEVER_AGAIN UINT32_MAX

struct min_stack {
    uint32_t * next; /* when the item at each depth is needed next */
    uint32_t * most; /* by stretch of the stack: the latest of these, and the soonest */
    uint32_t * least;
    uint32_t count, now;
};

/* False: memory. End it in either case. */
bool min_stack_begin(struct min_stack * s, uint32_t n_items);
void min_stack_end(struct min_stack * s);

/* The next access, to an item that is accessed again as number `next` (from 0, above this one's number) or NEVER_AGAIN.
 * Returns its depth from 1, or 0 if it was never accessed before. */
uint32_t min_stack_access(struct min_stack * s, uint32_t next);

#endif
