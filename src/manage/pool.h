/* SPDX-License-Identifier: MIT
 *
 * Memory for pieces of a model, in pages of a memfd. A page that is filled once is never zeroed again. One thread at a
 * time, except for pool_at and pool_read_only_at.
 *
 * The memfd's descriptor is closed at once: the mappings keep the memory, and there is no number that the program could
 * close, reuse or hand to a child. The mappings are not inherited by a fork either, so nothing has to be done after
 * one: the child must not use the pool.
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

/* Where pieces of many sizes come and go, and others stay, a piece may need dozens. */
enum { POOL_RUNS_MOST = 64 };

/* What one piece lies in. */
struct pool_place {
    struct pool_run run[POOL_RUNS_MOST];
    unsigned n_runs; /* 0: in nothing */
};

/* Room for so many bytes, in whole pages. Takes no memory yet. NULL: errno says why. */
struct pool * pool_new(uint64_t bytes);
void pool_free(struct pool * pool); /* NULL is allowed. What is mapped over a model stays there */

/* Where the pool's page is mapped, to be read into. What is mapped over the model is the same memory. */
char * pool_at(const struct pool * pool, uint32_t page);

/* The same page in a second mapping, which can only be read. cover_put doubles it. */
char * pool_read_only_at(const struct pool * pool, uint32_t page);

/* Takes pages in as few runs as can be, the longest first. The first time that pages are used, this makes memory of
 * them, which takes some tenths of a millisecond for each MiB. False: that many are not free, or only in more runs than
 * a place has. */
bool pool_take(struct pool * pool, uint32_t pages, struct pool_place * place);
void pool_give(struct pool * pool, struct pool_place * place); /* and empties it */

uint32_t pool_pages_free(const struct pool * pool);
uint32_t pool_pages(const struct pool * pool);

/* Gives the memory of up to so many free pages back to the system for good. Returns how many; fewer if a read is under
 * way near them. */
uint32_t pool_shrink(struct pool * pool, uint32_t pages);

#endif
