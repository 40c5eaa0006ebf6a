/* SPDX-License-Identifier: MIT
 *
 * All commands, NULL at the end; in the order of their names.
 */
#ifndef TAT_CLI_COMMANDS_H
#define TAT_CLI_COMMANDS_H

#include "cli/command.h"

extern const struct command * const commands[];

#endif
