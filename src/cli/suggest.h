/* SPDX-License-Identifier: MIT */
#ifndef TAT_CLI_SUGGEST_H
#define TAT_CLI_SUGGEST_H

#include <stddef.h>

/* Insertions, deletions, replacements and swaps of neighbours that lead from `a` to `b`. Names longer than 63 bytes are
 * as far as can be. */
size_t suggest_distance(const char * a, const char * b);

/* The command whose name is nearest to `name`, or NULL if none is near. */
const char * suggest_command(const char * name);

#endif
