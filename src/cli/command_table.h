/* SPDX-License-Identifier: MIT
 *
 * All built-in subcommands, sorted by name, NULL at the end.
 */
#ifndef TAT_CLI_COMMAND_TABLE_H
#define TAT_CLI_COMMAND_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "cli/command.h"

extern const struct command * const command_table[];

/* The one named `name`, or NULL. */
const struct command * command_find(const char * name);

/* Those, and then the commands in Python, which cannot be run from here: their `run` is NULL. NULL behind the last. */
const struct command * command_described(size_t number);
const struct command * command_find_described(const char * name);

/* Options end with an entry that is all zero; a title or a hidden option is none that users can give. */
bool option_is_last(const struct argp_option * option);
bool option_is_given(const struct argp_option * option);

/* The option needs a value, which may be the next argument. */
bool option_takes_next(const struct argp_option * option);

/* A letter that the option has, or 0. */
char option_letter(const struct argp_option * option);

#endif
