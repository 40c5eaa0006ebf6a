/* SPDX-License-Identifier: MIT
 *
 * Folders for the time of a run: in $TMPDIR if that is an absolute path, else in /tmp.
 */
#ifndef TAT_CLI_TEMPORARY_H
#define TAT_CLI_TEMPORARY_H

#include <limits.h>

#include "tat/error.h"

/* A folder of the user's own whose name begins alike, and what it is: removes it if a killed tat left it behind. One
 * that is younger than a minute is not asked about, as it may be just beginning. */
typedef void temporary_remove(const char * folder);

/* Makes a folder whose name begins with `prefix`, after those that were left behind. `forbidden`: a character that must
 * not be in its path, or '\0'. 0, or -1 with *error, and an empty path. */
int temporary_make(const char * prefix, char forbidden, temporary_remove * remove_if_left, char path[static PATH_MAX],
                   struct tat_error * error);

#endif
