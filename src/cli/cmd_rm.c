/* SPDX-License-Identifier: MIT
 *
 * tat rm: deletes traces, and nothing else.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/remove_run.h"
#include "cli/run_folder.h"
#include "cli/units.h"

enum { KEY_KEEP = 256 };

struct options {
    char ** names;
    int n_names;
    long keep; /* -1: not given */
};

static const struct argp_option options_table[] = {
    { "keep", KEY_KEEP, "N", 0, "Delete all traces but the N newest in ./traces or $TAT_DIR", 0 },
    { 0 },
};

static long parse_count(const char * text, struct argp_state * state) {
    char * end;
    errno = 0;
    const long count = strtol(text, &end, 10);
    if (end == text || *end || errno || count < 0) { argp_error(state, "--keep '%s': must be a whole number", text); }
    return count;
}

static error_t parse(int key, char * argument, struct argp_state * state) {
    struct options * options = state->input;
    switch (key) {
        case KEY_KEEP: options->keep = parse_count(argument, state); return 0;
        case ARGP_KEY_ARGS:
            options->names = state->argv + state->next;
            options->n_names = state->argc - state->next;
            return 0;
        case ARGP_KEY_END:
            if (options->n_names && options->keep >= 0) { argp_error(state, "name traces or use --keep, not both"); }
            if (!options->n_names && options->keep < 0) {
                argp_error(state, "name the traces to delete, or use --keep N");
            }
            return 0;
        default: return ARGP_ERR_UNKNOWN;
    }
}

static int remove_one(const char * path, struct removed * total) {
    struct tat_error error;
    if (remove_run(path, total, &error) == 0) { return TAT_OK; }
    return command_fail(&cmd_rm, &error);
}

static int remove_named(char ** names, int count, struct removed * total) {
    int status = TAT_OK;
    for (int i = 0; i < count; i++) {
        char path[PATH_MAX];
        struct tat_error error;
        int failed = run_resolve(names[i], path, &error) ? command_fail(&cmd_rm, &error) : remove_one(path, total);
        if (failed) { status = failed; }
    }
    return status;
}

static int remove_old(size_t keep, struct removed * total) {
    struct run * runs;
    size_t count;
    struct tat_error error;
    if (run_list(NULL, &runs, &count, &error) != 0) {
        free(runs);
        return command_fail(&cmd_rm, &error);
    }
    int status = TAT_OK;
    for (size_t i = 0, n = 0; i < count; i++) {
        if (runs[i].is_elsewhere || n++ < keep) { continue; }
        const int failed = remove_one(runs[i].path, total);
        if (failed) { status = failed; }
    }
    free(runs);
    return status;
}

static int run(int argc, char ** argv) {
    struct options options = { .keep = -1 };
    struct removed total = { 0 };
    char freed[UNITS_SIZE];
    command_parse(&cmd_rm, parse, argc, argv, 0, &options);
    const int status = options.n_names ? remove_named(options.names, options.n_names, &total)
                                       : remove_old((size_t) options.keep, &total);
    printf("%u deleted, %s freed\n", total.runs, format_bytes(freed, total.bytes));
    return status;
}

const struct command cmd_rm = {
    .name = "rm",
    .summary = "delete traces",
    .arguments = "[TRACE...]",
    .description =
        "Deletes the folders of traces without asking, and prints how much space this freed. Deletes a folder named "
        "run_* only if it holds a trace, or nothing but files that tat made; a folder of another name, as `tat record "
        "-o' makes, only if it holds a trace and nothing else. Never follows links.",
    .examples = "  tat rm run_20261124_101500     delete one\n"
                "  tat rm --keep 5                delete all but the five newest",
    .options = options_table,
    .run = run,
};
