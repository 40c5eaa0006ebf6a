/* SPDX-License-Identifier: MIT
 *
 * tat report: what a trace has to say, section by section. The answers are JSON; here they are drawn for people.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/run_folder.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "cli/units.h"
#include "tat/analysis.h"

enum { KEY_JSON = 256, KEY_SECTION, SECTIONS_MAX = 32, COLUMNS_MAX = 16, CELL = 96 };

struct options {
    const char * trace;
    const char * sections[SECTIONS_MAX];
    size_t       n_sections;
    bool         json;
};

static const struct argp_option table[] = {
    { "section", KEY_SECTION, "NAME", 0,
      "Only this section; may be given again: run, phases, tokens, components, tensors", 0 },
    { "json", KEY_JSON, NULL, 0, "Print the sections as JSON", 0 },
    { 0 },
};

static error_t parse(int key, char * argument, struct argp_state * state) {
    struct options * options = state->input;
    switch (key) {
        case KEY_JSON: options->json = true; return 0;
        case KEY_SECTION:
            if (options->n_sections == SECTIONS_MAX) { argp_error(state, "too many sections"); }
            options->sections[options->n_sections++] = argument;
            return 0;
        case ARGP_KEY_ARG:
            if (options->trace) { argp_error(state, "one trace at a time"); }
            options->trace = argument;
            return 0;
        default: return ARGP_ERR_UNKNOWN;
    }
}

static const char * text_of(const json_t * object, const char * key) {
    const char * text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

/* A value in its unit, as enum unit of the analyses names them. */
static void draw(const json_t * value, const char * unit, char cell[static CELL]) {
    char         number[UNITS_SIZE];
    const double real = json_number_value(value);
    cell[0]           = '\0';
    if (json_is_string(value)) {
        snprintf(cell, CELL, "%s", json_string_value(value));
    } else if (!json_is_number(value)) {
        return;
    } else if (strcmp(unit, "bytes") == 0) {
        snprintf(cell, CELL, "%s", format_bytes(number, (uint64_t) (real + 0.5)));
    } else if (strcmp(unit, "ns") == 0) {
        snprintf(cell, CELL, "%s", format_duration(number, (uint64_t) (real + 0.5)));
    } else if (strcmp(unit, "share") == 0) {
        snprintf(cell, CELL, "%.1f %%", real * 100);
    } else if (json_is_integer(value)) {
        snprintf(cell, CELL, "%lld", (long long) json_integer_value(value));
    } else {
        snprintf(cell, CELL, "%.2f", real);
    }
}

static int draw_table(const json_t * section) {
    const json_t * columns = json_object_get(section, "columns");
    const json_t * rows    = json_object_get(section, "rows");
    const size_t   n       = json_array_size(columns) < COLUMNS_MAX ? json_array_size(columns) : COLUMNS_MAX;
    struct column  head[COLUMNS_MAX];
    if (json_array_size(rows) == 0) { return 0; }
    for (size_t i = 0; i < n; i++) {
        const json_t * column = json_array_get(columns, i);
        head[i] =
            (struct column){ .name = text_of(column, "label"), .right = strcmp(text_of(column, "unit"), "text") != 0 };
    }
    struct table * t = table_new(head, n);
    for (size_t r = 0; r < json_array_size(rows); r++) {
        char         cells[COLUMNS_MAX][CELL];
        const char * line[COLUMNS_MAX];
        for (size_t i = 0; i < n; i++) {
            const json_t * column = json_array_get(columns, i);
            draw(json_object_get(json_array_get(rows, r), text_of(column, "key")), text_of(column, "unit"), cells[i]);
            line[i] = cells[i];
        }
        table_row(t, line);
    }
    return table_print(t, stdout);
}

static int draw_section(const json_t * section) {
    size_t         i;
    const json_t * item;
    printf("%s%s%s\n", style(stdout, STYLE_BOLD), text_of(section, "title"), style(stdout, STYLE_PLAIN));
    if (*text_of(section, "headline")) { printf("%s\n", text_of(section, "headline")); }
    json_array_foreach(json_object_get(section, "lines"), i, item) {
        printf("  %-14s %s\n", text_of(item, "label"), text_of(item, "text"));
    }
    if (draw_table(section) != 0) { return -1; }
    json_array_foreach(json_object_get(section, "notes"), i, item) {
        printf("%s%s%s\n", style(stdout, STYLE_DIM), json_string_value(item), style(stdout, STYLE_PLAIN));
    }
    putchar('\n');
    return 0;
}

static int draw_all(const char * answers) {
    json_t *     all = json_loads(answers, 0, NULL);
    const char * name;
    int          status = all ? 0 : -1;
    for (unsigned i = 0; status == 0 && (name = tat_analysis_name(i)); i++) {
        const json_t * section = json_object_get(all, name);
        if (section) { status = draw_section(section); }
    }
    json_decref(all);
    return status == 0 ? TAT_OK : TAT_ERROR_SYSTEM;
}

static int run(int argc, char ** argv) {
    struct options   options = { 0 };
    struct tat_error error;
    char             path[PATH_MAX];
    command_parse(&cmd_report, parse, argc, argv, 0, &options);
    if (run_resolve(options.trace, path, &error) != 0) { return command_fail(&cmd_report, &error); }
    struct tat_trace * trace = tat_trace_open(path, &error);
    if (!trace) { return command_fail(&cmd_report, &error); }
    char * answers = tat_analyze(trace, options.sections, options.n_sections, &error);
    int    status;
    if (!answers) {
        status = command_fail(&cmd_report, &error);
    } else {
        status = options.json ? (puts(answers) < 0 ? TAT_ERROR_SYSTEM : TAT_OK) : draw_all(answers);
    }
    free(answers);
    tat_trace_close(trace);
    return status;
}

const struct command cmd_report = {
    .name        = "report",
    .summary     = "say what a trace holds",
    .arguments   = "[TRACE]",
    .description = "Shows what was run, its phases, bytes per token, the parts of the model and the tensors that were "
                   "touched most. Load and warm-up never mix into what is said of prompt and generation.",
    .examples    = "  tat report                     the newest trace under traces/\n"
                   "  tat report --section tensors   one section of it\n"
                   "  tat report --json RUN          for a program",
    .options     = table,
    .run         = run,
};
