/* SPDX-License-Identifier: MIT
 *
 * The processes below this one. What another user's are can be seen in part only.
 */
#ifndef TAT_CLI_DESCENDANTS_H
#define TAT_CLI_DESCENDANTS_H

#include <stdbool.h>
#include <sys/types.h>

/* Calls `each` with every process that this one started, and those started below. */
void descendants_each(void (*each)(pid_t pid, void * state), void * state);

enum environment { ENVIRONMENT_UNSEEN, ENVIRONMENT_EMPTY, ENVIRONMENT_WITHOUT, ENVIRONMENT_WITH };

/* Is NAME=...VALUE... in the environment that a process was started with? */
enum environment descendant_environment(pid_t pid, const char * name, const char * value);

/* Its effective user, or -1. */
uid_t descendant_user(pid_t pid);

enum { DESCENDANT_NAME = 64 };

/* Its program's, or the beginning of it. */
void descendant_name(pid_t pid, char name[static DESCENDANT_NAME]);

#endif
