/* SPDX-License-Identifier: MIT
 *
 * Memory for pieces of a model: pages of a memfd. A page is zeroed when it is first used, and never again. Only one
 * thread at a time may call these functions, except for pool_at and pool_read_only_at.
 *
 * The memfd's descriptor is closed at once. The mappings keep the memory, and no number is left that the program could
 * close, reuse or hand to a child. A fork does not inherit the mappings: nothing has to be undone in the child, which
 * must not use the pool.
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

/* The memory of one piece. */
struct pool_place {
    struct pool_run run[POOL_RUNS_MOST];
    unsigned n_runs; /* 0: it has none */
};

/* Reserves room for so many bytes, in whole pages, but no memory yet. NULL: errno says why. */
struct pool * pool_new(uint64_t bytes);
/* The same, with address space to grow to `most` bytes. */
struct pool * pool_new_growing(uint64_t bytes, uint64_t most);
void pool_free(struct pool * pool); /* NULL is allowed. What covers a model stays there */

/* Where to read a page's contents to. What covers the model is the same memory. */
char * pool_at(const struct pool * pool, uint32_t page);

/* The same page in a second, read-only mapping, which cover_put doubles. */
char * pool_read_only_at(const struct pool * pool, uint32_t page);

/* Takes pages in as few runs as possible, the longest first. The first use of a page allocates its memory, which takes
 * some tenths of a millisecond for each MiB. False: there are not as many free pages, or only in more runs than a place
 * has. */
bool pool_take(struct pool * pool, uint32_t pages, struct pool_place * place);
void pool_give(struct pool * pool, struct pool_place * place); /* and empties it */

uint32_t pool_pages_free(const struct pool * pool);
uint32_t pool_pages(const struct pool * pool);
uint32_t pool_pages_most(const struct pool * pool);   /* that it may grow to */
uint32_t pool_pages_unused(const struct pool * pool); /* so far: they take no memory yet */

/* Adds up to so many pages, within what it may grow to. Returns how many. */
uint32_t pool_grow(struct pool * pool, uint32_t pages);

/* Gives the memory of up to so many free pages back to the system, until it grows again. Returns how many: fewer if
 * there are not as many, or if a read is under way in the same large pages. */
uint32_t pool_shrink(struct pool * pool, uint32_t pages);

#endif
