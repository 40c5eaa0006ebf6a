/* SPDX-License-Identifier: MIT */
#include "analysis/command_line.h"

#include <ctype.h>
#include <string.h>

#include "analysis/command_options.h"
#include "analysis/units.h"

static const char LLAMA[] = "llama-";

static bool is_llama(const char * path) {
    return strncmp(last_part(path), LLAMA, sizeof LLAMA - 1) == 0;
}

/* If the program was started by another name, such as a link's, it is the first that looks like it. */
int command_program(const json_t * metadata) {
    const json_t * command = json_object_get(metadata, "command");
    const char * program = json_string_value(json_object_get(metadata, "program"));
    int first = -1;
    if (!program || !is_llama(program)) { return -1; }
    for (size_t i = 0; i < json_array_size(command); i++) {
        const char * argument = command_argument(command, i);
        if (strcmp(last_part(argument), last_part(program)) == 0) { return (int) i; }
        if (first < 0 && is_llama(argument) && !strchr(argument, ' ')) { first = (int) i; }
    }
    return first;
}

const char * command_argument(const json_t * command, size_t i) {
    if (i >= json_array_size(command)) { return "nothing"; }
    const char * text = json_string_value(json_array_get(command, i));
    return text ? text : "";
}

static bool is_option(const char * argument) {
    return argument[0] == '-' && argument[1] && !isdigit((unsigned char) argument[1]) && argument[1] != '.';
}

bool command_takes_value(const json_t * command, size_t i) {
    const char * argument = command_argument(command, i);
    if (i + 1 >= json_array_size(command) || !is_option(argument) || strchr(argument, '=')) { return false; }
    const struct command_option * option = command_option(argument);
    if (option && (option->takes == OPTION_ON || option->takes == OPTION_OFF)) { return false; }
    return (option && option->takes == OPTION_TEXT) || !is_option(command_argument(command, i + 1));
}
