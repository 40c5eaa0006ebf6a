/* SPDX-License-Identifier: MIT
 *
 * The frame: finds the subcommand, built in or a program tat-NAME, and runs it.
 */
#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command_table.h"
#include "cli/completion.h"
#include "cli/external.h"
#include "cli/help.h"
#include "cli/man_page.h"
#include "cli/pager.h"
#include "cli/suggest.h"

static int unknown(const char * name) {
    fprintf(stderr, "tat: there is no command '%s'", name);
    const char * near = suggest_command(name);
    if (near) { fprintf(stderr, "; did you mean '%s'?", near); }
    fprintf(stderr, "\nRun `tat --help` for a list of commands.\n");
    return TAT_ERROR_USAGE;
}

static int run_built_in(const struct command * command, int argc, char ** argv) {
    char title[128], help[] = "--help";
    snprintf(title, sizeof title, "tat %s", command->name);
    argv[0] = title;
    if (argc > 1 && strcmp(argv[1], "-h") == 0) { argv[1] = help; } /* as `tat -h`; argp knows only -? */
    return command->run(argc, argv);
}

static int run_command(int argc, char ** argv) {
    const struct command * command = command_find(argv[0]);
    if (command) { return run_built_in(command, argc, argv); }
    external_run(argv); /* returns only if there is no such program */
    return unknown(argv[0]);
}

static int show_help(int argc, char ** argv) {
    if (argc < 2) { return help_overview(stdout), TAT_OK; }
    char * arguments[] = { argv[1], (char[]){ "--help" }, NULL };
    return run_command(2, arguments);
}

static int run(int argc, char ** argv);

/* What stands in place of a command's name. */
static int run_option(int argc, char ** argv) {
    const char * option = argv[0];
    if (strcmp(option, "--help") == 0 || strcmp(option, "-h") == 0) { return show_help(argc, argv); }
    if (strcmp(option, "--version") == 0 || strcmp(option, "-V") == 0) { return puts("tat " TAT_VERSION), TAT_OK; }
    if (strcmp(option, "--no-pager") == 0) {
        setenv("TAT_PAGER", "", 1);
        return run(argc - 1, argv + 1);
    }
    if (strcmp(option, "--completion") == 0) { return completion_print(argc > 1 ? argv[1] : ""); }
    if (strcmp(option, "--man") == 0) { return man_page_print(argc > 1 ? argv[1] : NULL); }
    fprintf(stderr, "tat: unrecognized option '%s'\nRun `tat --help` for a list of commands.\n", option);
    return TAT_ERROR_USAGE;
}

static int run(int argc, char ** argv) {
    if (argc < 1) {
        help_overview(stderr);
        return TAT_ERROR_USAGE;
    }
    if (strcmp(argv[0], "help") == 0) { return show_help(argc, argv); }
    return argv[0][0] == '-' ? run_option(argc, argv) : run_command(argc, argv);
}

int main(int argc, char ** argv) {
    setlocale(LC_CTYPE, ""); /* for the width of text in tables; numbers keep their point */
    const int status = run(argc - 1, argv + 1);
    const bool failed = pager_close() != 0 || fflush(stdout) != 0 || ferror(stdout);
    if (failed && status != TAT_ERROR_SYSTEM) { /* a command that noticed has said so */
        fprintf(stderr, "tat: cannot write to standard output: %s\n", strerror(errno));
        return TAT_ERROR_SYSTEM;
    }
    return status;
}
