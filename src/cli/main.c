/* SPDX-License-Identifier: MIT
 *
 * tat: finds the subcommand and hands over.
 */
#include <errno.h>
#include <limits.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/commands.h"
#include "cli/completion.h"
#include "cli/run_folder.h"

static const struct command * find(const char * name) {
    for (size_t i = 0; commands[i]; i++) {
        if (strcmp(commands[i]->name, name) == 0) { return commands[i]; }
    }
    return NULL;
}

static void print_help(FILE * to) {
    fputs("Usage: tat COMMAND [options]\n\n"
          "Records which bytes of a model llama.cpp touches, when, and in what order.\n\n"
          "  tat record -- llama-completion -m model.gguf -p \"...\" -n 100\n"
          "  tat report\n\nCommands:\n",
          to);
    for (size_t i = 0; commands[i]; i++) { fprintf(to, "  %-10s %s\n", commands[i]->name, commands[i]->summary); }
    fputs("\nCommands that read a trace take the newest one under traces/ (or TAT_DIR) unless told which.\n"
          "`tat COMMAND --help` says more. A program tat-NAME in libexec/tat or on the PATH is `tat NAME`.\n",
          to);
}

/* Edit distance, for a word that was typed almost right. */
static unsigned distance(const char * a, const char * b) {
    enum { LONGEST = 32 };
    unsigned     row[LONGEST + 1];
    const size_t n = strnlen(b, LONGEST);
    for (size_t j = 0; j <= n; j++) { row[j] = (unsigned) j; }
    for (size_t i = 1; a[i - 1]; i++) {
        unsigned diagonal = row[0];
        row[0]            = (unsigned) i;
        for (size_t j = 1; j <= n; j++) {
            const unsigned change = diagonal + (a[i - 1] != b[j - 1]);
            diagonal              = row[j];
            unsigned best         = row[j] < row[j - 1] ? row[j] + 1 : row[j - 1] + 1;
            row[j]                = change < best ? change : best;
        }
    }
    return row[n];
}

static int unknown(const char * name) {
    const char * nearest = NULL;
    unsigned     best    = 3;
    for (size_t i = 0; commands[i]; i++) {
        const unsigned d = distance(name, commands[i]->name);
        if (d < best) {
            best    = d;
            nearest = commands[i]->name;
        }
    }
    fprintf(stderr, "tat: no command '%s'", name);
    if (nearest) { fprintf(stderr, "; did you mean '%s'?", nearest); }
    fputs("; `tat --help` lists them\n", stderr);
    return TAT_ERROR_USAGE;
}

/* A command that is a program of its own: beside an installed tat, in the build tree, on the PATH. */
static int run_external(char ** argv) {
    char path[PATH_MAX], home[PATH_MAX];
    if (strchr(argv[0], '/') || program_folder(home, sizeof home) != 0) { return unknown(argv[0]); }
    static const char * const places[] = { "../libexec/tat/", "" };
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        const int length = snprintf(path, sizeof path, "%s/%stat-%s", home, places[i], argv[0]);
        if (length > 0 && (size_t) length < sizeof path && access(path, X_OK) == 0) {
            execv(path, argv);
            fprintf(stderr, "tat: %s: %s\n", path, strerror(errno));
            return TAT_ERROR_SYSTEM;
        }
    }
    snprintf(path, sizeof path, "tat-%s", argv[0]);
    execvp(path, argv);
    if (errno == ENOENT) { return unknown(argv[0]); }
    fprintf(stderr, "tat: %s: %s\n", path, strerror(errno));
    return TAT_ERROR_SYSTEM;
}

int main(int argc, char ** argv) {
    setlocale(LC_CTYPE, "");
    if (argc < 2) {
        print_help(stderr);
        return TAT_ERROR_USAGE;
    }
    const char * name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        const struct command * about = argc > 2 ? find(argv[2]) : NULL;
        if (about) { return about->run(2, (char *[]){ argv[2], (char *) "--help", NULL }); }
        print_help(stdout);
        return TAT_OK;
    }
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0) {
        puts("tat " TAT_VERSION);
        return TAT_OK;
    }
    if (strcmp(name, "--completion") == 0) { return print_completion(argc > 2 ? argv[2] : ""); }
    if (strcmp(name, "--man") == 0) { return print_man(argc > 2 ? argv[2] : ""); }
    const struct command * command = find(name);
    return command ? command->run(argc - 1, argv + 1) : run_external(argv + 1);
}
