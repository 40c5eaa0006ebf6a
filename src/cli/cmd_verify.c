/* SPDX-License-Identifier: MIT
 *
 * tat verify: the proof that a trace is whole.
 */
#include <jansson.h>
#include <libsmartcols.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/run_folder.h"
#include "cli/terminal.h"
#include "tat/verify.h"

struct options {
    const char * trace;
    bool         json;
};

enum { KEY_JSON = 256 };

static const struct argp_option table[] = {
    { "json", KEY_JSON, NULL, 0, "Print the checks as JSON", 0 },
    { 0 },
};

static error_t parse(int key, char * argument, struct argp_state * state) {
    struct options * options = state->input;
    switch (key) {
        case KEY_JSON: options->json = true; return 0;
        case ARGP_KEY_ARG:
            if (options->trace) { argp_error(state, "one trace at a time"); }
            options->trace = argument;
            return 0;
        default: return ARGP_ERR_UNKNOWN;
    }
}

static const char * const verdicts[] = { "good", "FAILED", "not checked" };
static const char * const colours[]  = { "green", "red", "gray" };

static int print_table(const struct tat_verification * v) {
    struct libscols_table * t = scols_new_table();
    if (!t) { return TAT_ERROR_SYSTEM; }
    scols_table_enable_colors(t, terminal_has_colour(STDOUT_FILENO));
    scols_table_new_column(t, "CHECK", 0, 0);
    scols_table_new_column(t, "VERDICT", 0, 0);
    scols_table_new_column(t, "FIGURES", 0, SCOLS_FL_WRAP);
    for (unsigned i = 0; i < v->n_checks; i++) {
        const struct tat_check * c    = &v->check[i];
        struct libscols_line *   line = scols_table_new_line(t, NULL);
        if (!line) { break; }
        scols_line_set_data(line, 0, c->name);
        scols_line_set_data(line, 1, verdicts[c->verdict]);
        scols_line_set_data(line, 2, c->detail);
        scols_cell_set_color(scols_line_get_cell(line, 1), colours[c->verdict]);
    }
    scols_print_table(t);
    scols_unref_table(t);
    if (v->n_failed) {
        printf("\nNOT proved: %u of %u checks failed.\n", v->n_failed, v->n_checks);
    } else {
        char number[32];
        printf("\nAll good: %s access records, nothing missing.\n", format_count(v->n_accesses, number, sizeof number));
    }
    return v->n_failed ? TAT_ERROR_NO : TAT_OK;
}

static int print_json(const struct tat_verification * v, const char * path) {
    json_t * checks = json_array();
    for (unsigned i = 0; i < v->n_checks; i++) {
        const struct tat_check * c = &v->check[i];
        json_array_append_new(checks, json_pack("{s:s, s:s, s:s, s:s}", "name", c->name, "what", c->what, "verdict",
                                                verdicts[c->verdict], "detail", c->detail));
    }
    json_t * whole = json_pack("{s:s, s:b, s:i, s:I, s:o}", "trace", path, "good", v->n_failed == 0, "failed",
                               (int) v->n_failed, "accesses", (json_int_t) v->n_accesses, "checks", checks);
    if (whole) { json_dumpf(whole, stdout, JSON_INDENT(2)); }
    puts("");
    json_decref(whole);
    return v->n_failed ? TAT_ERROR_NO : TAT_OK;
}

static int run(int argc, char ** argv) {
    struct options   options = { 0 };
    struct tat_error error;
    command_parse(&cmd_verify, parse, argc, argv, 0, &options);
    char * path = run_resolve(options.trace, &error);
    if (!path) { return command_fail(&cmd_verify, &error); }
    struct tat_trace *      trace = tat_trace_open(path, &error);
    struct tat_verification v;
    int                     status;
    if (!trace || tat_verify(trace, &v, &error) != 0) {
        status = command_fail(&cmd_verify, &error);
    } else {
        status = options.json ? print_json(&v, path) : print_table(&v);
    }
    tat_trace_close(trace);
    free(path);
    return status;
}

const struct command cmd_verify = {
    .name      = "verify",
    .summary   = "prove that a trace is whole",
    .arguments = "[TRACE]",
    .description =
        "Checks a trace against itself and against its model files: blocks, losses, the identity of nodes and "
        "callbacks, every record's place, every weight, layer, expert selection and position. Exit status 1 "
        "where a check fails.",
    .examples = "  tat verify                 the newest trace under traces/\n"
                "  tat verify --json RUN      one run, for a script",
    .options  = table,
    .run      = run,
};
