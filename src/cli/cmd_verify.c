/* SPDX-License-Identifier: MIT
 *
 * tat verify: the proof that a trace is whole.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "cli/run_open.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "tat/verify.h"

struct options {
    const char * trace;
    bool json;
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
            if (options->trace) { argp_error(state, "name only one trace"); }
            options->trace = argument;
            return 0;
        default: return ARGP_ERR_UNKNOWN;
    }
}

static const char * const verdicts[] = { "good", "FAILED", "not checked" };

/* That nothing is missing is what the check of weights proves; without the model's file it has nothing to look at. */
static bool weights_are_checked(const struct tat_verification * v) {
    for (unsigned i = 0; i < v->n_checks; i++) {
        if (strcmp(v->check[i].name, "weights") == 0) { return v->check[i].verdict == TAT_VERDICT_PASS; }
    }
    return false;
}

static void print_conclusion(const struct tat_verification * v) {
    if (v->n_failed) {
        printf("\n%sNOT proved: %u of %u checks failed.", style(stdout, STYLE_BAD), v->n_failed, v->n_checks);
    } else if (weights_are_checked(v)) {
        printf("\n%sAll good: %" PRIu64 " access records, nothing missing.", style(stdout, STYLE_GOOD), v->n_accesses);
    } else {
        printf("\n%sGood, as far as could be checked: %" PRIu64
               " access records.\nNot checked: whether weights are missing.",
               style(stdout, STYLE_GOOD), v->n_accesses);
    }
    puts(style(stdout, STYLE_PLAIN));
}

static int print_table(const struct tat_verification * v) {
    static const struct column columns[] = { { .name = "CHECK" },
                                             { .name = "VERDICT" },
                                             { .name = "FIGURES", .wrap = true } };
    struct table * t = table_new(columns, sizeof columns / sizeof *columns);
    for (unsigned i = 0; i < v->n_checks; i++) {
        const struct tat_check * c = &v->check[i];
        table_row(t, (const char *[]){ c->name, verdicts[c->verdict], c->detail });
    }
    if (table_print(t, stdout) != 0) { return TAT_ERROR_SYSTEM; }
    print_conclusion(v);
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
    struct options options = { 0 };
    struct tat_error error;
    command_parse(&cmd_verify, parse, argc, argv, 0, &options);
    char path[PATH_MAX];
    struct tat_trace * trace = run_open(options.trace, path, &error);
    struct tat_verification v;
    int status;
    if (!trace || tat_verify(trace, &v, &error) != 0) {
        status = command_fail(&cmd_verify, &error);
    } else {
        status = options.json ? print_json(&v, path) : print_table(&v);
    }
    tat_trace_close(trace);
    return status;
}

const struct command cmd_verify = {
    .name = "verify",
    .summary = "prove that a trace is complete",
    .arguments = "[TRACE]",
    .description =
        "Checks a trace against itself and against its model files: blocks, losses, nodes against callbacks, the place "
        "of every record, and every weight, layer, expert selection and position. A check that has nothing to examine "
        "says \"not checked\", never \"good\". The exit status is 1 if a check fails or if nothing was recorded.",
    .examples = "  tat verify                 the newest trace\n"
                "  tat verify --json RUN      one run, for a script",
    .options = table,
    .run = run,
};
