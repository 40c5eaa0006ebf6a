/* SPDX-License-Identifier: MIT
 *
 * tat diff: what changed between runs, and over many, what stays.
 */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/pager.h"
#include "cli/report_text.h"
#include "cli/run_open.h"
#include "tat/diff.h"

enum { KEY_JSON = 256, KEY_SECTION, KEY_EXIT_CODE, SECTIONS_MAX = 16 };

struct options {
    const char * traces[TAT_DIFF_MOST];
    const char * sections[SECTIONS_MAX];
    size_t n_traces, n_sections;
    bool json, exit_code;
};

static const struct argp_option table[] = {
    { "section", KEY_SECTION, "NAME", 0,
      "Print only this section; can be repeated: runs, tensors, experts, order, time, layers, patterns", 0 },
    { "exit-code", KEY_EXIT_CODE, NULL, 0,
      "Exit with status 1 if tensors, experts or order differ (times always differ)", 0 },
    { "json", KEY_JSON, NULL, 0, "Print the sections as JSON", 0 },
    { 0 },
};

static void add_section(struct options * options, const char * name, struct argp_state * state) {
    const char * known;
    for (unsigned i = 0; (known = tat_diff_name(i)); i++) {
        if (strcmp(known, name) == 0) { break; }
    }
    if (!known) { argp_error(state, "there is no section '%s'; --help lists them", name); }
    if (options->n_sections == SECTIONS_MAX) { argp_error(state, "too many sections"); }
    options->sections[options->n_sections++] = name;
}

static error_t parse(int key, char * argument, struct argp_state * state) {
    struct options * options = state->input;
    switch (key) {
        case KEY_JSON: options->json = true; return 0;
        case KEY_SECTION: add_section(options, argument, state); return 0;
        case KEY_EXIT_CODE: options->exit_code = true; return 0;
        case ARGP_KEY_ARG:
            if (options->n_traces == TAT_DIFF_MOST) { argp_error(state, "name at most %d traces", TAT_DIFF_MOST); }
            options->traces[options->n_traces++] = argument;
            return 0;
        case ARGP_KEY_END:
            if (options->n_traces < 2) { argp_error(state, "name two or more traces; `tat list` shows them"); }
            return 0;
        default: return ARGP_ERR_UNKNOWN;
    }
}

static bool differs(const json_t * answers) {
    const char * name;
    const json_t * section;
    json_object_foreach((json_t *) answers, name, section) {
        if (json_is_true(json_object_get(json_object_get(section, "values"), "differs"))) { return true; }
    }
    return false;
}

/* The status, or -1 with *error. */
static int print(const char * text, const struct options * options, struct tat_error * error) {
    json_t * answers = json_loads(text, 0, NULL);
    pager_open();
    errno = ENOMEM;
    int status = !answers        ? -1
                 : options->json ? report_json(answers, stdout)
                                 : report_sections(answers, options->n_sections > 0, stdout);
    if (status == 0) { status = fflush(stdout); }
    if (status == 0 && options->exit_code && differs(answers)) { status = TAT_ERROR_NO; }
    json_decref(answers);
    return status >= 0 ? status : tat_fail_errno(error, "writing the comparison");
}

/* A run in which no graph was computed has nothing to compare. */
static int check_graphs(const struct tat_trace * trace, const char * path, struct tat_error * error) {
    uint32_t count;
    tat_trace_evaluations(trace, &count);
    return count ? 0 : tat_fail(error, TAT_ERROR_NO, "%s: no graph was computed, so there is nothing to compare", path);
}

static int compare(const struct options * options, struct tat_trace ** traces, struct tat_error * error) {
    for (size_t i = 0; i < options->n_traces; i++) {
        char path[PATH_MAX];
        traces[i] = run_open(options->traces[i], path, error);
        if (!traces[i] || check_graphs(traces[i], path, error) != 0) { return -1; }
    }
    char * text = tat_diff((const struct tat_trace * const *) traces, options->n_traces, options->sections,
                           options->n_sections, error);
    const int status = text ? print(text, options, error) : -1;
    free(text);
    return status;
}

static int run(int argc, char ** argv) {
    struct options options = { 0 };
    struct tat_trace * traces[TAT_DIFF_MOST] = { 0 };
    struct tat_error error = { 0 };
    command_parse(&cmd_diff, parse, argc, argv, 0, &options);
    int status = compare(&options, traces, &error);
    if (status < 0) { status = command_fail(&cmd_diff, &error); }
    for (size_t i = 0; i < options.n_traces; i++) { tat_trace_close(traces[i]); }
    return status;
}

const struct command cmd_diff = {
    .name = "diff",
    .summary = "compare traces",
    .arguments = "TRACE TRACE...",
    .description =
        "Shows what changed from the first run to each of the others: which tensors were read more or less, which "
        "experts were chosen, whether weights were read in the same order, and how long it took. Repetitions of a run "
        "form a group, so that a difference in time is shown with its random variation. For three or more runs, also "
        "shows which patterns hold in all of them. The exit status is 0 if the runs could be compared, whatever the "
        "result. It is 1 if a run computed no graph or, with --exit-code, if the runs differ.",
    .examples = "  tat diff RUN RUN                          two runs\n"
                "  tat diff A1 A2 A3 B1 B2 B3                two setups, three runs each\n"
                "  tat diff --exit-code --section order A B  in a script: same order?",
    .options = table,
    .run = run,
};
