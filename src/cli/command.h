/* SPDX-License-Identifier: MIT
 *
 * A subcommand: one file cmd_NAME.c, one table of options. The table drives parsing, --help, the shell completions and
 * the option section of the man page.
 */
#ifndef TAT_CLI_COMMAND_H
#define TAT_CLI_COMMAND_H

#include <argp.h>

#include "tat/error.h"

struct command {
    const char * name;
    const char * summary;     /* one line, for `tat --help` */
    const char * arguments;   /* as in the usage line, after the options: "FILE" */
    const char * description; /* a paragraph for --help and the man page */
    const char * examples;    /* lines "  tat NAME ..." with what each does */
    const struct argp_option * options;
    int (*run)(int argc, char ** argv); /* argv[0] is the name; returns the exit status */
};

/* Each in the file of its name. */
extern const struct command cmd_correlate;
extern const struct command cmd_diff;
extern const struct command cmd_doctor;
extern const struct command cmd_dump;
extern const struct command cmd_export;
extern const struct command cmd_gguf;
extern const struct command cmd_list;
extern const struct command cmd_plan;
extern const struct command cmd_record;
extern const struct command cmd_reorder;
extern const struct command cmd_report;
extern const struct command cmd_rm;
extern const struct command cmd_run;
extern const struct command cmd_top;
extern const struct command cmd_verify;
extern const struct command cmd_view;

/* Parses with the command's table; keys reach `parser`, whose `input` is `state`. On --help, and with status 2 on wrong
 * usage, it exits. `flags`: argp's. */
void command_parse(const struct command * command, argp_parser_t parser, int argc, char ** argv, unsigned flags,
                   void * state);

/* Prints "tat NAME: message" to stderr and returns the exit status that the error's kind stands for. */
int command_fail(const struct command * command, const struct tat_error * error);

#endif
