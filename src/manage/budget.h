/* SPDX-License-Identifier: MIT
 *
 * How much memory there is for pieces of the model: the limit, less what the process needs besides. Several limits hold
 * at once: what was asked for holds for this process, a cgroup's for all processes in it, the machine's for all. The
 * one that leaves the least counts. Swap counts as no memory.
 */
#ifndef TAT_MANAGE_BUDGET_H
#define TAT_MANAGE_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

/* Bytes. */
struct budget {
    uint64_t
        limit;     /* the one that leaves the least of: what was asked for, the cgroups' limits, the machine's memory */
    uint64_t used; /* of that limit, and not to be had back: all but page cache and the pool */
    uint64_t growth;  /* what the program is about to take */
    uint64_t files;   /* page cache that the process cannot do without: code of programs and libraries */
    uint64_t code;    /* what of that counts towards the limit: whoever reads a page first is charged for it */
    uint64_t reserve; /* what the kernel needs to work with, and what cannot be foreseen */
    uint64_t pool;    /* what is left */
};

/* What there would be for page cache of the model if nothing of it were managed, and nothing grew: page cache takes all
 * that is left. */
uint64_t budget_plain(const struct budget * budget);

/* Looks at /proc and the cgroup file systems; takes milliseconds, and more once thousands of pieces are mapped.
 * `asked`: 0: only the other limits count. `pool_bytes`: what the pool takes now. `growth`: what the program is about
 * to take. False: nothing is known. Any thread; may allocate; not in the child of a fork. */
bool budget_find(uint64_t asked, uint64_t pool_bytes, uint64_t growth, struct budget * budget);

/* The pool may take so much from now on; budget_left counts with it. Any thread. */
void budget_grant(uint64_t pool_bytes);

/* So much of the pool is page cache that is not locked. It counts as used from now on; others' page cache does not. Any
 * thread. */
void budget_count_cached(uint64_t bytes);

/* The same quickly, to be asked often while graphs are computed: how many bytes are left below the limit; negative:
 * there are too many. Takes growth as not there yet, and files and reserve as budget_find found them last; limits are
 * read anew, in the cgroups that budget_find saw. Where what was asked for counts, the pool counts as it was granted
 * last; elsewhere, as far as it takes memory. Reads a few small files, in some ten microseconds.
 * INT64_MAX: nothing is known. */
int64_t budget_left(uint64_t asked);

/* How much larger the pool could be by what nobody uses: page cache counts as used here, and it is all that the process
 * needs while it is not squeezed. `pool_free`: bytes of the pool that nothing is in. 0: nothing, or nothing is known.
 * Likewise quick. */
uint64_t budget_room(uint64_t asked, uint64_t pool_free);

/* The same by a made-up /proc, for tests. */
bool budget_find_in(const char * proc, uint64_t asked, uint64_t pool_bytes, uint64_t growth, struct budget * budget);
int64_t budget_left_in(const char * proc, uint64_t asked);
uint64_t budget_room_in(const char * proc, uint64_t asked, uint64_t pool_free);

#endif
