/* SPDX-License-Identifier: MIT
 *
 * tat report: what a trace has to say, section by section. The answers are JSON; here they are drawn for people.
 */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/report_text.h"
#include "cli/run_open.h"
#include "tat/analysis.h"

enum { KEY_JSON = 256, KEY_SECTION, SECTIONS_MAX = 32 };

struct options {
    const char * trace;
    const char * sections[SECTIONS_MAX];
    size_t       n_sections;
    bool         json;
};

static const struct argp_option table[] = {
    { "section", KEY_SECTION, "NAME", 0,
      "Only this section; may be given again: run, phases, tokens, components, tensors, layers, "
      "operations, attention, experts",
      0 },
    { "json", KEY_JSON, NULL, 0, "Print the sections as JSON", 0 },
    { 0 },
};

static void add_section(struct options * options, const char * name, struct argp_state * state) {
    const char * known;
    for (unsigned i = 0; (known = tat_analysis_name(i)); i++) {
        if (strcmp(known, name) == 0) { break; }
    }
    if (!known) { argp_error(state, "no section '%s'; --help lists them", name); }
    if (options->n_sections == SECTIONS_MAX) { argp_error(state, "too many sections"); }
    options->sections[options->n_sections++] = name;
}

static error_t parse(int key, char * argument, struct argp_state * state) {
    struct options * options = state->input;
    switch (key) {
        case KEY_JSON: options->json = true; return 0;
        case KEY_SECTION: add_section(options, argument, state); return 0;
        case ARGP_KEY_ARG:
            if (options->trace) { argp_error(state, "one trace at a time"); }
            options->trace = argument;
            return 0;
        default: return ARGP_ERR_UNKNOWN;
    }
}

/* What the trace has nothing of is left out, unless it was asked for by name. */
static int print_text(const json_t * answers, bool by_name) {
    const char *   name;
    const json_t * section;
    bool           first = true;
    json_object_foreach((json_t *) answers, name, section) {
        if (json_is_true(json_object_get(section, "absent")) && !by_name) { continue; }
        if (!first) { putchar('\n'); }
        if (report_text(section, stdout) != 0) { return -1; }
        first = false;
    }
    return 0;
}

static int print_json(const json_t * answers) {
    if (json_dumpf(answers, stdout, JSON_INDENT(2)) != 0) { return -1; }
    return putchar('\n') < 0 ? -1 : 0;
}

static int print(const char * text, const struct options * options, struct tat_error * error) {
    json_t * answers = json_loads(text, 0, NULL);
    errno            = ENOMEM;
    int status = !answers ? -1 : options->json ? print_json(answers) : print_text(answers, options->n_sections > 0);
    json_decref(answers);
    if (status == 0) { status = fflush(stdout); }
    return status == 0 ? 0 : tat_fail_errno(error, "writing the report");
}

static int run(int argc, char ** argv) {
    struct options   options = { 0 };
    struct tat_error error;
    char             path[PATH_MAX];
    uint32_t         n_evaluations;
    command_parse(&cmd_report, parse, argc, argv, 0, &options);
    struct tat_trace * trace = run_open(options.trace, path, &error);
    if (!trace) { return command_fail(&cmd_report, &error); }
    char * answers = tat_analyze(trace, options.sections, options.n_sections, &error);
    tat_trace_evaluations(trace, &n_evaluations);
    int status = n_evaluations ? TAT_OK : TAT_ERROR_NO;
    if (!answers || print(answers, &options, &error) != 0) { status = command_fail(&cmd_report, &error); }
    free(answers);
    tat_trace_close(trace);
    return status;
}

const struct command cmd_report = {
    .name        = "report",
    .summary     = "say what a trace holds",
    .arguments   = "[TRACE]",
    .description = "Shows what was run, its phases, bytes per token, the parts of the model and the tensors that were "
                   "touched most, layers, operations, attention with its KV cache, and experts. Load and warm-up never "
                   "mix into what is said of prompt and generation. Exit status 1 where no graph was computed.",
    .examples    = "  tat report                     the newest trace under traces/\n"
                   "  tat report --section tensors   one section of it\n"
                   "  tat report --json RUN          for a program",
    .options     = table,
    .run         = run,
};
