/* SPDX-License-Identifier: MIT
 *
 * Where our own files are, found relative to the program: an installation can be moved. The answers are absolute paths
 * in a buffer of the caller's; false if there is none.
 */
#ifndef TAT_CLI_PLACES_H
#define TAT_CLI_PLACES_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include "tat/error.h"

/* libexec/tat, installed or in the build tree. */
bool places_libexec(char path[static PATH_MAX]);

/* libtat_agent.so, or with `exact` libtat_agent_exact.so: $TAT_AGENT, or where it is installed, or in the build tree.
 * 0, or -1 and *error says what to do. */
int places_agent(bool exact, char path[static PATH_MAX], struct tat_error * error);

/* libtat_manage.so likewise, or $TAT_MANAGER. */
int places_manager(char path[static PATH_MAX], struct tat_error * error);

/* `name` as a shell would find it: a path if it has a slash, else the first on PATH that can be executed. 0, or the
 * errno that says why not. */
int places_program(const char * name, char path[static PATH_MAX]);

#endif
