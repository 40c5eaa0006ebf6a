/* SPDX-License-Identifier: MIT
 *
 * tat list: the traces there are.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/run_metadata.h"
#include "cli/command.h"
#include "cli/pager.h"
#include "cli/run_folder.h"
#include "cli/table.h"
#include "cli/units.h"
#include "format/file_names.h"

enum { KEY_JSON = 256, KEY_NAMES };
enum form { FORM_TABLE, FORM_JSON, FORM_NAMES };

struct options {
    enum form form;
    const char * folder; /* NULL: the traces */
};

static const struct argp_option options_table[] = {
    { "json", KEY_JSON, NULL, 0, "Print the list as JSON", 0 },
    { "names", KEY_NAMES, NULL, 0, "Print only the names, one per line", 0 },
    { 0 },
};

static error_t parse(int key, char * argument, struct argp_state * state) {
    struct options * options = state->input;
    switch (key) {
        case KEY_JSON: options->form = FORM_JSON; return 0;
        case KEY_NAMES: options->form = FORM_NAMES; return 0;
        case ARGP_KEY_ARG:
            if (options->folder) { argp_error(state, "name only one folder"); }
            options->folder = argument;
            return 0;
        default: return ARGP_ERR_UNKNOWN;
    }
}

/* "20261124_042600" as "2026-11-24 04:26:00". */
static const char * when(char text[static 24], const struct run * run) {
    const char * s = run->stamp;
    snprintf(text, 24, "%.4s-%.2s-%.2s %.2s:%.2s:%.2s", s, s + 4, s + 6, s + 9, s + 11, s + 13);
    return text;
}

/* ---- metadata ---- */

/* What the metadata of a run says, or NULL: it may not be written yet. */
static json_t * read_metadata(const struct run * run) {
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s/" RUN_METADATA_FILE, run->path) >= PATH_MAX) { return NULL; }
    return run_json_file(path, RUN_METADATA_MOST);
}

static const char * name_in(const char * path) {
    return path ? last_part(path) : NULL;
}

static const char * program_of(const json_t * metadata) {
    return name_in(json_string_value(json_object_get(metadata, "program")));
}

static const char * model_of(const json_t * metadata) {
    const json_t * first = json_array_get(json_object_get(metadata, "model_files"), 0);
    return name_in(json_string_value(json_object_get(first, "path")));
}

/* ---- forms ---- */

static int print_table(const struct run * runs, size_t count, const char * folder, struct tat_error * error) {
    static const struct column columns[] = {
        { .name = "NAME" },
        { .name = "WHEN" },
        { .name = "SIZE", .right = true },
        { .name = "PROGRAM" },
        { .name = "MODEL", .cut = true },
    };
    if (count == 0) {
        fprintf(stderr, "tat list: no traces in %s\n", folder ? folder : run_parent());
        return 0;
    }
    struct table * table = table_new(columns, sizeof columns / sizeof *columns);
    for (size_t i = 0; i < count; i++) {
        char time[24], size[UNITS_SIZE];
        json_t * metadata = read_metadata(&runs[i]);
        table_row(table, (const char *[]){
                             run_name(&runs[i]),
                             when(time, &runs[i]),
                             runs[i].has_trace ? format_bytes(size, run_bytes(&runs[i])) : "no trace",
                             program_of(metadata),
                             model_of(metadata),
                         });
        json_decref(metadata);
    }
    return table_print(table, stdout) == 0 ? 0 : tat_fail(error, TAT_ERROR_SYSTEM, "out of memory");
}

static json_t * entry_json(const struct run * run) {
    char time[24];
    json_t * metadata = read_metadata(run);
    json_t * object = json_pack("{s:s, s:s, s:I, s:b, s:s?, s:s?}", "name", run_name(run), "when", when(time, run),
                                "bytes", (json_int_t) run_bytes(run), "has_trace", run->has_trace, "program",
                                program_of(metadata), "model", model_of(metadata));
    json_decref(metadata);
    return object;
}

static int print_json(const struct run * runs, size_t count, struct tat_error * error) {
    json_t * array = json_array();
    int failed = array ? 0 : -1;
    for (size_t i = 0; i < count && !failed; i++) { failed = json_array_append_new(array, entry_json(&runs[i])); }
    if (!failed) {
        json_dumpf(array, stdout, JSON_INDENT(2));
        putchar('\n');
    }
    json_decref(array);
    return failed ? tat_fail(error, TAT_ERROR_SYSTEM, "out of memory") : 0;
}

static int print_names(const struct run * runs, size_t count) {
    for (size_t i = 0; i < count; i++) { puts(run_name(&runs[i])); }
    return 0;
}

static int run(int argc, char ** argv) {
    struct options options = { FORM_TABLE, NULL };
    struct run * runs;
    size_t count;
    struct tat_error error;
    command_parse(&cmd_list, parse, argc, argv, 0, &options);
    int failed = run_list(options.folder, &runs, &count, &error);
    if (!failed) {
        pager_open();
        failed = options.form == FORM_JSON    ? print_json(runs, count, &error)
                 : options.form == FORM_NAMES ? print_names(runs, count)
                                              : print_table(runs, count, options.folder, &error);
    }
    free(runs);
    return failed ? command_fail(&cmd_list, &error) : TAT_OK;
}

const struct command cmd_list = {
    .name = "list",
    .summary = "list traces, newest first",
    .arguments = "[DIR]",
    .description =
        "Lists the traces in ./traces, or in $TAT_DIR, newest first, with the start time, the size on disk and, once "
        "the metadata is written, the program and the model. Also lists, by path, the traces that `tat record -o` "
        "wrote "
        "elsewhere when run from this folder, except private ones. With DIR, lists all traces in that folder, whatever "
        "their names.",
    .examples = "  tat list\n"
                "  tat list /data/traces\n"
                "  TAT_DIR=/data/traces tat list --json",
    .options = options_table,
    .run = run,
};
