/* SPDX-License-Identifier: MIT
 *
 * What no cache of a size can do better than, whatever it keeps and however it chooses: Belady (A study of replacement
 * algorithms for a virtual-storage computer, IBM Systems Journal 1966) on single bytes. Rows of embeddings are read
 * once, and cost it nothing then.
 */
#ifndef TAT_ANALYSIS_CACHING_BOUND_H
#define TAT_ANALYSIS_CACHING_BOUND_H

#include "analysis/caching/curves.h"

struct bound {
    const struct simulation * simulation;
    size_t n_refs;    /* that are looked at */
    uint64_t first;   /* bytes that they read at all, as no cache can avoid */
    uint32_t * next;  /* by reference: the next one to its slice */
    uint8_t * facts;  /* by reference */
    uint64_t * held;  /* by slice: bytes of it in the cache */
    uint32_t * need;  /* by slice: the reference that it is held for */
    uint32_t * heap;  /* slices held, in part or whole, the one needed latest first */
    uint32_t * place; /* by slice: in the heap */
    uint32_t n;
    uint64_t used;
};

/* `simulation` must outlive it. False: memory. End it in either case. */
bool bound_begin(struct bound * b, const struct simulation * simulation);
void bound_end(struct bound * b);

/* The least that a cache of `capacity` bytes reads again: in all, and for generated tokens. */
struct simulated bound_find(struct bound * b, uint64_t capacity);

#endif
