/* SPDX-License-Identifier: MIT
 *
 * How many mappings the process has. Each piece that covers a model is one or more, and the system sets a limit
 * (vm.max_map_count). A program that comes to it gets no more memory, so half of what it has left is not touched.
 */
#ifndef TAT_MANAGE_MAP_COUNT_H
#define TAT_MANAGE_MAP_COUNT_H

#include <stdbool.h>
#include <stdint.h>

struct map_count {
    uint64_t most, now; /* `now`: or fewer */
    uint64_t counted_ns;
};

/* Counts. Reads /proc. */
void map_count_begin(struct map_count * count);

/* There will be so many more at most. False: that may be too many. Since mappings that touch become one, and others go,
 * it counts anew before it says so, but not more often than once a second: it takes milliseconds. */
bool map_count_add(struct map_count * count, uint64_t more);

#endif
