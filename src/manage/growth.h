/* SPDX-License-Identifier: MIT
 *
 * How much memory the process is about to touch for the first time.
 */
#ifndef TAT_MANAGE_GROWTH_H
#define TAT_MANAGE_GROWTH_H

#include <stdint.h>

struct memory_range {
    uintptr_t from, to;
};

/* Bytes of the ranges' pages that are not in memory. Ranges may overlap, in any order; they are sorted. Where the
 * process has no memory, nothing counts. */
uint64_t growth_of(struct memory_range * ranges, uint32_t count);

#endif
