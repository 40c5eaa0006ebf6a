/* SPDX-License-Identifier: MIT
 *
 * Memory for pieces of a model, in pages of a memfd. A page that is filled once is never zeroed again. One thread at a
 * time, except for pool_at.
 */
#ifndef TAT_MANAGE_POOL_H
#define TAT_MANAGE_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pool;

struct pool_run {
    uint32_t page, count; /* pages of the pool */
};

enum { POOL_RUNS_MOST = 8 };

/* What one piece lies in. */
struct pool_place {
    struct pool_run run[POOL_RUNS_MOST];
    unsigned n_runs; /* 0: in nothing */
};

/* Room for so many bytes, whole pages. Takes no memory yet. NULL: errno says why. */
struct pool * pool_new(uint64_t bytes);
void pool_free(struct pool * pool); /* NULL is allowed */

/* Where the pool's page is mapped, to be read into. What is mapped over the model is the same memory. */
char * pool_at(const struct pool * pool, uint32_t page);
int pool_fd(const struct pool * pool);

/* Takes pages in as few runs as can be, the longest first. False: that many are not free, or only in more runs than a
 * place has. */
bool pool_take(struct pool * pool, uint32_t pages, struct pool_place * place);
void pool_give(struct pool * pool, struct pool_place * place); /* and empties it */

uint32_t pool_pages_free(const struct pool * pool);
uint32_t pool_pages(const struct pool * pool);

/* Gives the memory of up to so many free pages back to the system for good. Returns how many. */
uint32_t pool_shrink(struct pool * pool, uint32_t pages);

/* In the child of a fork: unmaps and closes what is the parent's. Allocates nothing. */
void pool_after_fork(struct pool * pool);

#endif
