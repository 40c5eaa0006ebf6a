/* SPDX-License-Identifier: MIT
 *
 * tat report: what a trace has to say, section by section. The answers are JSON; here they are drawn for people.
 */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/option_text.h"
#include "cli/command.h"
#include "cli/pager.h"
#include "cli/report_text.h"
#include "cli/run_open.h"
#include "tat/analysis.h"

enum {
    KEY_JSON = 256,
    KEY_SECTION,
    KEY_QUESTIONS,
    KEY_HOT,
    KEY_COLD,
    KEY_MEMORY,
    KEY_DISK,
    KEY_UNIT,
    KEY_READ_AHEAD,
    KEY_MODEL,
    KEY_LAYERS,
    KEY_TOKENS,
    SECTIONS_MAX = 32
};

struct options {
    const char * trace;
    const char * model; /* as given, or NULL */
    const char * sections[SECTIONS_MAX];
    size_t n_sections;
    bool json, questions;

    struct tat_analysis_options analysis;
};

static const struct argp_option table[] = {
    { "section", KEY_SECTION, "NAME", 0,
      "Print only this section; can be repeated: speed, run, phases, tokens, components, hot, layers, time, order, "
      "attention, experts, storage, managed, caching",
      0 },
    { "questions", KEY_QUESTIONS, NULL, 0, "Answer common questions in words, each with its figures", 0 },
    { "model", KEY_MODEL, "MODEL", 0,
      "Report on this model, if several computed. MODEL is a number, all or part of a file name, or a part such as "
      "draft",
      0 },
    { "layers", KEY_LAYERS, "RANGE", 0,
      "Report on these layers alone: 5, 3:8, 3: or :8. A section that cannot says why", 0 },
    { "tokens", KEY_TOKENS, "RANGE", 0,
      "Report on these tokens alone, counted from 0 without warm-up. Tokens that were computed together count together",
      0 },
    { "hot", KEY_HOT, "PERCENT", 0, "Share of the weights, hottest first, that counts as hot. Default: 10", 0 },
    { "cold", KEY_COLD, "PERCENT", 0, "Share of the weights, coldest first, that counts as cold. Default: 50", 0 },
    { "memory", KEY_MEMORY, "SIZE", 0, "Memory available for weights: 8G", 0 },
    { "disk", KEY_DISK, "RATE", 0, "How fast the disk reads: 2G/s", 0 },
    { "unit", KEY_UNIT, "UNIT", 0,
      "What a cache keeps or drops as a whole: slice, expert, page (4 KiB) or a size: 64K. Default: slice", 0 },
    { "read-ahead", KEY_READ_AHEAD, "N", 0,
      "With --unit page or a size: compare with a cache that reads N blocks at once, as page caches do: 32", 0 },
    { "json", KEY_JSON, NULL, 0, "Print JSON: the sections or, with --questions, an array of questions and answers",
      0 },
    { 0 },
};

static void add_section(struct options * options, const char * name, struct argp_state * state) {
    struct tat_error error;
    if (!section_from_text(name, &error)) { argp_error(state, "%s", error.message); }
    if (options->n_sections == SECTIONS_MAX) { argp_error(state, "too many sections"); }
    options->sections[options->n_sections++] = name;
}

/* The option of this key in the table, which has the name that analyses know it by. */
static void set_option(struct options * options, int key, const char * value, struct argp_state * state) {
    struct tat_error error;
    const struct argp_option * option = table;
    while (option->key != key) { option++; }
    if (option_from_text(&options->analysis, option->name, value, &error) != 0) {
        argp_error(state, "%s", error.message);
    }
}

static void check_options(const struct options * options, struct argp_state * state) {
    struct tat_error error;
    if (options_agree(&options->analysis, &error) != 0) { argp_error(state, "%s", error.message); }
}

static error_t parse(int key, char * argument, struct argp_state * state) {
    struct options * options = state->input;
    switch (key) {
        case KEY_JSON: options->json = true; return 0;
        case KEY_SECTION: add_section(options, argument, state); return 0;
        case KEY_QUESTIONS: options->questions = true; return 0;
        case KEY_MODEL: options->model = argument; return 0;
        case KEY_LAYERS:
        case KEY_TOKENS:
        case KEY_HOT:
        case KEY_COLD:
        case KEY_MEMORY:
        case KEY_DISK:
        case KEY_READ_AHEAD:
        case KEY_UNIT: set_option(options, key, argument, state); return 0;
        case ARGP_KEY_ARG:
            if (options->trace) { argp_error(state, "name only one trace"); }
            options->trace = argument;
            return 0;
        case ARGP_KEY_END: check_options(options, state); return 0;
        default: return ARGP_ERR_UNKNOWN;
    }
}

/* Slow sections are answered only where they are named, and questions are asked of all. */
static void name_all(struct options * options) {
    const char * name;
    for (unsigned i = 0; (name = tat_analysis_name(i)) && options->n_sections < SECTIONS_MAX; i++) {
        options->sections[options->n_sections++] = name;
    }
}

/* Where there are several models. */
static void say_model(const json_t * answers) {
    const char * name;
    const json_t * section;
    json_object_foreach((json_t *) answers, name, section) {
        const char * model = json_string_value(json_object_get(json_object_get(section, "values"), "model"));
        if (!model) { continue; }
        printf("About %s, one of several models in this trace; --model chooses another.\n", model);
        return;
    }
}

static void print_answers(const json_t * answers) {
    const char * name;
    const json_t * section;
    say_model(answers);
    json_object_foreach((json_t *) answers, name, section) {
        report_answers(section, stdout);
    }
}

/* Of sections that were named, one at least has something to tell. */
static bool tells_anything(const json_t * answers) {
    const char * name;
    const json_t * section;
    json_object_foreach((json_t *) answers, name, section) {
        if (!json_is_true(json_object_get(section, "absent"))) { return true; }
    }
    return false;
}

/* Sets *told: whether the trace has anything of what was asked. */
static int print(const char * text, const struct options * options, bool * told, struct tat_error * error) {
    json_t * answers = json_loads(text, 0, NULL);
    pager_open();
    errno = ENOMEM;
    int status = -1;
    *told = answers && tells_anything(answers);
    if (answers && options->json && options->questions) {
        status = report_answers_json(answers, stdout);
    } else if (answers && options->json) {
        status = report_json(answers, stdout);
    } else if (answers && options->questions) {
        print_answers(answers);
        status = 0;
    } else if (answers) {
        status = report_sections(answers, options->n_sections > 0, stdout);
    }
    json_decref(answers);
    if (status == 0) { status = fflush(stdout); }
    return status == 0 ? 0 : tat_fail_errno(error, "cannot write the report");
}

static bool is_whole(const struct tat_trace_summary * t) {
    uint64_t lost = t->orphan_evaluations + t->damaged_bytes + t->undecodable_blocks;
    for (int reason = 0; reason < TAT_LOSS_COUNT; reason++) { lost += t->lost[reason]; }
    return t->ended && !lost;
}

/* The section on the run tells what is missing; where it is not asked for, nothing else would. */
static void warn_of_part(const struct options * options, const struct tat_trace * trace) {
    bool told = options->n_sections == 0 || is_whole(tat_trace_summary(trace));
    for (size_t i = 0; i < options->n_sections; i++) { told |= strcmp(options->sections[i], "run") == 0; }
    if (told) { return; }
    fprintf(stderr,
            "tat report: the trace is incomplete (killed, cut off, damaged or still being written). The report covers "
            "what is there; `tat report --section run` says what is missing\n");
}

static bool choose_model(const struct tat_trace * trace, struct options * options, struct tat_error * error) {
    if (options->model) { options->analysis.model = tat_trace_find_model(trace, options->model, error); }
    return !options->model || options->analysis.model;
}

static int run(int argc, char ** argv) {
    struct options options = { 0 };
    struct tat_error error;
    char path[PATH_MAX];
    uint32_t n_evaluations;
    command_parse(&cmd_report, parse, argc, argv, 0, &options);
    struct tat_trace * trace = run_open(options.trace, path, &error);
    if (!trace) { return command_fail(&cmd_report, &error); }
    if (options.questions && options.n_sections == 0) { name_all(&options); }
    char * answers = !choose_model(trace, &options, &error)
                         ? NULL
                         : tat_analyze(trace, options.sections, options.n_sections, &options.analysis, &error);
    tat_trace_evaluations(trace, &n_evaluations);
    bool told = false;
    if (answers) { warn_of_part(&options, trace); }
    int status = !answers ? -1 : print(answers, &options, &told, &error);
    if (status != 0) {
        status = command_fail(&cmd_report, &error);
    } else {
        status = told && n_evaluations ? TAT_OK : TAT_ERROR_NO;
    }
    free(answers);
    tat_trace_close(trace);
    return status;
}

const struct command cmd_report = {
    .name = "report",
    .summary = "show what a trace holds",
    .arguments = "[TRACE]",
    .description =
        "Shows what ran, its phases, bytes per token, the parts of the model, hot and cold weights, layers, time, the "
        "order of reads, attention with its KV cache, and experts; with --section caching, also what a cache would "
        "save. Figures for the prompt and for generation never include loading or warm-up. The exit status is 1 if no "
        "graph was computed, or if the trace has nothing for the named sections, such as the experts of a dense "
        "model.",
    .examples = "  tat report                     the newest trace\n"
                "  tat report --section experts   one section, with all its tables\n"
                "  tat report --questions         answers in words\n"
                "  tat report --layers 3:5 --tokens 10:  of some layers and tokens alone\n"
                "  tat report --section caching --memory 8G --disk 2G/s\n"
                "  tat report --json RUN          for a program",
    .options = table,
    .run = run,
};
