/* SPDX-License-Identifier: MIT
 *
 * A memory cgroup of its own for a program and all that it starts.
 */
#ifndef TAT_PRESSURE_MEMORY_GROUP_H
#define TAT_PRESSURE_MEMORY_GROUP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "tat/error.h"
#include "tat/run.h"

struct memory_group;

enum { MEMORY_GROUP_LEAST = 1 << 20 }; /* bytes; in less no program starts */

/* Makes one that holds `limit` bytes, page cache included, and no swap; less where this process
 * has less, see memory_group_read. Removes what earlier owners left behind in the
 * same place when they and what was to clean up after them were killed. Call it from a process with one thread: it
 * starts another process, which removes the group whatever becomes of this one. NULL with *error, which says what to
 * do. */
struct memory_group * memory_group_make(uint64_t limit, struct tat_error * error);

/* Moves a process that has started nothing yet. 0, or -1 with *error. */
int memory_group_enter(const struct memory_group * group, pid_t pid, struct tat_error * error);

/* What the kernel has counted so far. */
void memory_group_read(const struct memory_group * group, struct tat_run_memory * memory);

/* Removes the group once its last process has ended, which need not be now, and frees. NULL is allowed. */
void memory_group_end(struct memory_group * group);

#endif
