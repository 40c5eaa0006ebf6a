/* SPDX-License-Identifier: MIT */
#ifndef TAT_SYSTEM_CGROUP_H
#define TAT_SYSTEM_CGROUP_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Whether `word` is among those of `list`, which any of `separators` stand between. */
bool has_word(const char * list, const char * word, const char * separators);

/* The path of a process's group in the hierarchy of `controller`, which others may share; "": in that of version 2.
 * `process` is its folder in /proc. False: it is in none. */
bool cgroup_path(const char * process, const char * controller, char path[static PATH_MAX]);

/* ---- the group that limits this process's memory ---- */

struct memory_cgroup {
    unsigned version;      /* of cgroups: 1 or 2 */
    char folder[PATH_MAX]; /* of the group */
    size_t top;            /* bytes of `folder` that are the mount point: no group above that can be seen */
    char path[PATH_MAX];   /* as /proc has it; may be empty */
};

enum memory_cgroup_found {
    MEMORY_CGROUP_FOUND,
    MEMORY_CGROUP_NOT_MOUNTED,
    MEMORY_CGROUP_NOT_NAMED, /* /proc says nothing of the process's group */
    MEMORY_CGROUP_OUTSIDE,   /* of what is mounted */
    MEMORY_CGROUP_LONG,      /* the path of the folder */
};

/* A container may see a part of the hierarchy, mounted under another name. `proc` is "/proc" but in tests. Where the
 * group is not found, `version`, `path`, and the mount point as `folder`, are filled in as far as they are known. */
enum memory_cgroup_found memory_cgroup_find(const char * proc, struct memory_cgroup * cgroup);

/* The group above. False: it cannot be seen, and nothing has changed. */
bool memory_cgroup_up(struct memory_cgroup * cgroup);

/* The group's own limit in bytes, whatever those above it have; UINT64_MAX: it has none. */
uint64_t memory_cgroup_limit(const struct memory_cgroup * cgroup);

#endif
