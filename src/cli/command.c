/* SPDX-License-Identifier: MIT */
#include "cli/command.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command_table.h"
#include "cli/pager.h"

const struct command * command_find(const char * name) {
    for (size_t i = 0; command_table[i]; i++) {
        if (strcmp(command_table[i]->name, name) == 0) { return command_table[i]; }
    }
    return NULL;
}

bool option_is_last(const struct argp_option * option) {
    return !option->name && !option->key && !option->doc && !option->group;
}

bool option_is_given(const struct argp_option * option) {
    return (option->name || option_letter(option)) && !(option->flags & (OPTION_HIDDEN | OPTION_DOC));
}

bool option_takes_next(const struct argp_option * option) {
    return option->arg && !(option->flags & OPTION_ARG_OPTIONAL);
}

char option_letter(const struct argp_option * option) {
    return option->key > 0 && option->key < 128 && isgraph(option->key) ? (char) option->key : 0;
}

/* argp puts what follows a vertical tab after the options. */
static char * text_for_help(const struct command * command) {
    char * text = NULL;
    if (asprintf(&text, "%s%s%s", command->description, command->examples ? "\vExamples:\n" : "",
                 command->examples ? command->examples : "") < 0) {
        return NULL;
    }
    return text;
}

void command_parse(const struct command * command, argp_parser_t parser, int argc, char ** argv, unsigned flags,
                   void * state) {
    char * text = text_for_help(command);
    const struct argp argp = {
        .options = command->options,
        .parser = parser,
        .args_doc = command->arguments,
        .doc = text,
    };
    argp_err_exit_status = TAT_ERROR_USAGE;
    const error_t failed = argp_parse(&argp, argc, argv, flags, NULL, state);
    free(text);
    if (failed) {
        fprintf(stderr, "%s: %s\n", argv[0], strerror(failed));
        exit(TAT_ERROR_SYSTEM);
    }
}

int command_fail(const struct command * command, const struct tat_error * error) {
    fflush(stdout);
    pager_close();
    fprintf(stderr, "tat %s: %s\n", command->name, error->message);
    return error->kind == TAT_OK ? TAT_ERROR_SYSTEM : (int) error->kind;
}
