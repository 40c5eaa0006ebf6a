/* SPDX-License-Identifier: MIT
 *
 * Linux's page cache below a limit of memory, as a mapped file meets it: two lists of pages, the active and the
 * inactive one, and reading ahead around page faults. By blocks, of one thread that faults.
 */
#ifndef TAT_ANALYSIS_PLANNING_KERNEL_CACHE_H
#define TAT_ANALYSIS_PLANNING_KERNEL_CACHE_H

#include "analysis/caching/cache_string.h"

/* Of a string of blocks. Sets by_graph[i]: bytes that the string's graph i reads. `capacity` and `ahead` are bytes of
 * page cache, and of what is read ahead at a time. False: memory. */
bool kernel_cache_run(const struct cache_string * string, uint64_t capacity, uint64_t ahead, uint64_t * by_graph);

#endif
