/* SPDX-License-Identifier: MIT
 *
 * Folders of the kernel's that a process owns, as cgroups and instances of tracefs: their names say whose they are, so
 * that they can be removed when the owner and its reaper were both killed.
 */
#ifndef TAT_LEFTOVER_OWNER_H
#define TAT_LEFTOVER_OWNER_H

#include <stdbool.h>

enum { OWNER_NAME_SIZE = 96 };

/* The name of a folder that this process owns. 0, or -1 with errno. */
int owner_name(char name[static OWNER_NAME_SIZE]);

/* Removes the folders in `parent` whose owners have ended and that nobody uses. is_nested: as in struct reaped. */
void owner_sweep(const char * parent, bool is_nested);

#endif
