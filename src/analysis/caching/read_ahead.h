/* SPDX-License-Identifier: MIT
 *
 * Read-ahead, as page caches do it, kept simple: blocks are in windows of so many, aligned to their number. When a
 * block that is not there is asked for, all blocks of its window that are not there are read with it in one request,
 * but not beyond the end of the file. The policy is told of them in their order, of the one asked for last. What a
 * kernel does besides (windows that grow with sequential reads, hints, reading while others compute) is left out.
 */
#ifndef TAT_ANALYSIS_CACHING_READ_AHEAD_H
#define TAT_ANALYSIS_CACHING_READ_AHEAD_H

#include "analysis/caching/cache_string.h"

struct ahead_reads {
    struct phase_bytes read;
    struct phase_bytes vain;     /* of these, what was dropped, or left at the end, before it was asked for */
    struct phase_bytes requests; /* of the disk: a count */
};

/* Blocks, and those beside them that read-ahead brings in: items of their own. */
struct ahead_string {
    const struct cache_string * string;
    uint32_t window;  /* blocks */
    uint64_t * block; /* by item, ascending */
    uint64_t * bytes; /* by item */
    uint32_t * item;  /* by item of the string */
    uint32_t n_items;
    bool too_many; /* there are more than can be simulated: nothing else is set */
};

/* Of a string of blocks that is not a sample; it must outlive `a`. False: memory. Free it in either case. */
bool ahead_begin(struct ahead_string * a, const struct cache_string * s, uint32_t window);
void ahead_end(struct ahead_string * a);

/* `by_graph`: bytes read by each graph of the string, or NULL. False: memory. */
bool ahead_simulate(const struct ahead_string * a, const struct policy_kind * kind, uint64_t capacity,
                    struct ahead_reads * reads, uint64_t * by_graph);

#endif
