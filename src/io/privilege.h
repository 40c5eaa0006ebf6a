/* SPDX-License-Identifier: MIT
 *
 * Root for the kernel's sake alone. Where sudo started tat, it works as the user who called, and is root only for the
 * moments in which the kernel asks for it. All of this concerns the whole process; one thread at a time may raise and
 * lower. Where nothing was yielded, privilege_raise and privilege_lower do nothing.
 */
#ifndef TAT_IO_PRIVILEGE_H
#define TAT_IO_PRIVILEGE_H

#include <sys/types.h>

#include "tat/error.h"

/* From now on this process, which is root's, works as the user `uid` with the group `gid` and the user's further
 * groups. `name` is the user's; NULL: it is not known, and there are no further groups. 0, or -1 with *error. */
int privilege_yield(uid_t uid, gid_t gid, const char * name, struct tat_error * error);

/* Root, until privilege_lower. Keeps errno, as that does. */
void privilege_raise(void);
void privilege_lower(void);

/* Gives root up for good, as a process does that is about to become a program of the user's. 0, or the errno that says
 * why not. */
int privilege_drop(void);

#endif
