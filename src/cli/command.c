/* SPDX-License-Identifier: MIT */
#include "cli/command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char * argp_program_version = "tat " TAT_VERSION;

void command_parse(const struct command * command, argp_parser_t parser, int argc, char ** argv, unsigned flags,
                   void * state) {
    char *  doc  = NULL;
    char *  name = NULL;
    char ** copy = calloc((size_t) argc + 1, sizeof *copy);
    /* A vertical tab ends what argp prints before the options. */
    if (!copy ||
        asprintf(&doc, "%s\v%s%s", command->description, command->examples ? "Examples:\n" : "",
                 command->examples ? command->examples : "") < 0 ||
        asprintf(&name, "tat %s", command->name) < 0) {
        fputs("tat: out of memory\n", stderr);
        exit(TAT_ERROR_SYSTEM);
    }
    memcpy(copy, argv, (size_t) argc * sizeof *copy);
    copy[0]                 = name;
    argp_err_exit_status    = TAT_ERROR_USAGE;
    const struct argp table = { command->options, parser, command->arguments, doc, NULL, NULL, NULL };
    const error_t     wrong = argp_parse(&table, argc, copy, flags, NULL, state);
    if (wrong) {
        fprintf(stderr, "%s: %s\n", name, strerror(wrong));
        exit(TAT_ERROR_USAGE);
    }
    free(copy);
    free(name);
    free(doc);
}

int command_fail(const struct command * command, const struct tat_error * error) {
    fprintf(stderr, "tat %s: %s\n", command->name, error->message);
    return error->kind;
}
