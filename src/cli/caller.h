/* SPDX-License-Identifier: MIT
 *
 * Who called tat by sudo.
 */
#ifndef TAT_CLI_CALLER_H
#define TAT_CLI_CALLER_H

#include "tat/error.h"

/* Where sudo started tat as root for another user, tat works as that user from now on (see io/privilege.h), and what it
 * starts finds the environment of that user. 0; -1 with *error if that fails. */
int caller_become(struct tat_error * error);

#endif
