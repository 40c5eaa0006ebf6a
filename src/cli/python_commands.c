/* SPDX-License-Identifier: MIT
 *
 * What is known here of the commands in Python: enough for help, completions and man pages. They parse for themselves.
 */
#include <string.h>

#include "cli/command_table.h"
#include "cli/python_commands.inc"

enum { PYTHON_COMMANDS = sizeof python_commands / sizeof python_commands[0] };

const struct command * command_described(size_t number) {
    size_t n = 0;
    for (; command_table[n]; n++) {
        if (n == number) { return command_table[n]; }
    }
    return number - n < PYTHON_COMMANDS ? &python_commands[number - n] : NULL;
}

const struct command * command_find_described(const char * name) {
    const struct command * command;
    for (size_t i = 0; (command = command_described(i)); i++) {
        if (strcmp(command->name, name) == 0) { return command; }
    }
    return NULL;
}
