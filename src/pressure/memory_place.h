/* SPDX-License-Identifier: MIT
 *
 * Where a memory cgroup can be made for a program: in the hierarchy of version 1 or 2. What limits this process already
 * still has to hold there.
 */
#ifndef TAT_PRESSURE_MEMORY_PLACE_H
#define TAT_PRESSURE_MEMORY_PLACE_H

#include <limits.h>
#include <stdint.h>

#include "tat/error.h"

struct memory_place {
    unsigned version;      /* of cgroups: 1 or 2 */
    char folder[PATH_MAX]; /* the parent of the group to be made */
    uint64_t limit;        /* bytes: of groups that this process is in and the new one is not; UINT64_MAX: none */
};

/* Looks in `proc`, which is "/proc" but in tests, and makes nothing. 0, or -1 with *error, which says what to do. */
int memory_place_find(const char * proc, struct memory_place * place, struct tat_error * error);

#endif
