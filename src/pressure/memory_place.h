/* SPDX-License-Identifier: MIT
 *
 * Where a memory cgroup can be made for a program: in the hierarchy of version 1 or 2, below what already limits this
 * process.
 */
#ifndef TAT_PRESSURE_MEMORY_PLACE_H
#define TAT_PRESSURE_MEMORY_PLACE_H

#include <limits.h>

#include "tat/error.h"

struct memory_place {
    unsigned version;      /* of cgroups: 1 or 2 */
    char folder[PATH_MAX]; /* the parent of the group to be made */
};

/* Looks in `proc`, which is "/proc" but in tests, and makes nothing. 0, or -1 with *error, which says what to do. */
int memory_place_find(const char * proc, struct memory_place * place, struct tat_error * error);

#endif
