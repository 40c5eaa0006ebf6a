/* SPDX-License-Identifier: MIT
 *
 * How much memory there is for pieces of the model: the limit, less what the process needs besides.
 */
#ifndef TAT_MANAGE_BUDGET_H
#define TAT_MANAGE_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

/* Bytes. */
struct budget {
    uint64_t limit;   /* the least of: what was asked for, and the limits of the cgroups this process is in */
    uint64_t used;    /* by the cgroup, or the process, and not to be had back: all but page cache and the pool */
    uint64_t growth;  /* of memory that the process has reserved and not touched yet: KV cache, compute buffers */
    uint64_t files;   /* page cache that the process cannot do without: programs, libraries, rows of embeddings */
    uint64_t reserve; /* what the kernel needs to work with, and what cannot be foreseen */
    uint64_t pool;    /* what is left */
};

/* Looks at /proc and the cgroup file systems; takes milliseconds. `asked`: 0: only the cgroups' limits count.
 * `pool_bytes`: what the pool takes of it now. Of no limit at all, `limit` is UINT64_MAX. False: nothing is known. Any
 * thread; may allocate. */
bool budget_find(uint64_t asked, uint64_t pool_bytes, struct budget * budget);

/* The same quickly, to be asked often while graphs are computed: how many bytes are left below the limit; negative:
 * there are too many. Reads two small files at most. INT64_MAX: nothing is known, or no limit. */
int64_t budget_left(uint64_t asked);

#endif
