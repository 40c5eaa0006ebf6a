/* SPDX-License-Identifier: MIT */
#ifndef TAT_SYSTEM_CGROUP_H
#define TAT_SYSTEM_CGROUP_H

#include <limits.h>
#include <stdbool.h>

/* Whether `word` is among those of `list`, which any of `separators` stand between. */
bool has_word(const char * list, const char * word, const char * separators);

/* The path of a process's group in the hierarchy of `controller`, which others may share; "": in that of version 2.
 * `process` is its folder in /proc. False: it is in none. */
bool cgroup_path(const char * process, const char * controller, char path[static PATH_MAX]);

#endif
