/* SPDX-License-Identifier: MIT
 *
 * tat export: access records for other programs.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/access_options.h"
#include "cli/command.h"
#include "cli/export_experts.h"
#include "cli/export_html.h"
#include "cli/units.h"
#include "export/file_replace.h"
#include "export/perfetto.h"
#include "export/perfetto_size.h"
#include "export/reference_string.h"

enum { KEY_REFERENCES = 1024, KEY_UNIT, KEY_MAX_SIZE };

struct options {
    struct access_options access;
    const char * format_name;            /* as given, or NULL */
    const struct access_format * format; /* of records */
    bool references;
    uint64_t unit;     /* of references */
    uint64_t max_size; /* of a Perfetto trace; 0: not given */
    const struct reference_format * reference_format;
    struct export_experts experts;
    struct html_options html;
    bool is_html;
    const char * path; /* NULL: standard output */
};

static const struct argp_option table[] = {
    { "format", 'f', "csv|jsonl|bin|perfetto|html", 0,
      "csv, jsonl (one object per line), bin (64 bytes per record, for numpy.fromfile), perfetto (a timeline for "
      "ui.perfetto.dev) or html (the page of `tat view` as one file, of several TRACEs too). Default: the suffix of "
      "FILE, else csv",
      0 },
    { "output", 'o', "FILE", 0,
      "Write to FILE instead of standard output. FILE appears only when it is complete. With bin, FILE.json describes "
      "the records",
      0 },
    { "max-size", KEY_MAX_SIZE, "SIZE", 0,
      "With perfetto: write nothing if the file would be larger, and say which tokens fit. Default: 2GB, about as much "
      "as the viewer reads",
      0 },
    HTML_OPTIONS,
    { "references", KEY_REFERENCES, NULL, 0,
      "Instead of records, write the sequence of references to weights, as csv or oracleGeneral, for cache simulators",
      2 },
    { "unit", KEY_UNIT, "UNIT", 0,
      "With --references: slice, expert, page or a size, as in `tat report`. Default: slice", 2 },
    EXPERT_OPTIONS,
    ACCESS_OPTIONS,
    { 0 },
};

static const struct access_format * const formats[] = { &access_csv, &access_jsonl, &access_bin, &access_perfetto };
enum { FORMATS = sizeof formats / sizeof formats[0] };

/* The format that was asked for, or, if none was, what the end of the file's name says. */
static const struct access_format * format_of(const struct options * o, struct argp_state * state) {
    const char * suffix = o->path ? strrchr(o->path, '.') : NULL;
    for (size_t i = 0; i < FORMATS; i++) {
        const char * name = formats[i]->name;
        if (o->format_name ? strcmp(name, o->format_name) == 0 : suffix && strcmp(name, suffix + 1) == 0) {
            return formats[i];
        }
    }
    if (o->format_name) {
        argp_error(state, "--format '%s': must be csv, jsonl, bin, perfetto or html", o->format_name);
    }
    return &access_csv;
}

static const struct reference_format * reference_format_of(const struct options * o, struct argp_state * state) {
    static const struct reference_format * const all[] = { &reference_csv, &reference_oracle };
    const char * suffix = o->path ? strrchr(o->path, '.') : NULL;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        const char * name = reference_format_name(all[i]);
        if (o->format_name ? strcmp(name, o->format_name) == 0 : suffix && strcmp(name, suffix + 1) == 0) {
            return all[i];
        }
    }
    if (o->format_name) {
        argp_error(state, "--references --format '%s': must be csv or oracleGeneral", o->format_name);
    }
    return &reference_csv;
}

static bool asks_for_html(const struct options * o) {
    const char * suffix = o->path ? strrchr(o->path, '.') : NULL;
    return o->format_name ? strcmp(o->format_name, "html") == 0 : suffix && strcmp(suffix, ".html") == 0;
}

/* The page is on whole traces. */
static void complete_html(const struct options * o, struct argp_state * state) {
    if (o->references || o->unit || o->max_size || o->experts.what || o->experts.memory || o->experts.per_layer ||
        o->access.n_conditions || o->access.heads || o->access.request.limit) {
        argp_error(state, "html takes no other options but -o, --max-html and --with-text: it is about whole traces");
    }
    if (!o->path && isatty(STDOUT_FILENO)) { argp_error(state, "a page is not for a terminal: use -o FILE or a pipe"); }
}

static void complete(struct options * o, struct argp_state * state) {
    o->is_html = asks_for_html(o);
    if (o->is_html) {
        complete_html(o, state);
        return;
    }
    if (export_html_is_asked(&o->html)) { argp_error(state, "--max-html and --with-text need --format html"); }
    const struct access_request * request = &o->access.request;
    if (o->experts.what) {
        if (o->references || o->unit) { argp_error(state, "--references and --unit do not go with experts"); }
        const char * suffix = o->path ? strrchr(o->path, '.') : NULL;
        const bool jsonl = !o->format_name && suffix && strcmp(suffix, ".jsonl") == 0;
        export_experts_complete(&o->experts, &o->access, jsonl ? "jsonl" : o->format_name, state);
        return;
    }
    if (o->experts.memory || o->experts.per_layer) {
        argp_error(state, "--memory and --per-layer need --expert-mask or --override-tensor");
    }
    if (o->experts.n_traces > 1) { argp_error(state, "name only one trace"); }
    o->access.trace = o->experts.traces[0];
    if (!o->references) {
        o->format = format_of(o, state);
        if (o->unit) { argp_error(state, "--unit needs --references"); }
    } else {
        o->reference_format = reference_format_of(o, state);
        if (o->access.selects || request->limit) {
            argp_error(
                state,
                "--references writes all reads of prompt and generation: leave out -n and all filters but --model");
        }
    }
    if (o->max_size && o->format != &access_perfetto) { argp_error(state, "--max-size needs --format perfetto"); }
    if ((o->format == &access_bin || o->format == &access_perfetto || o->reference_format == &reference_oracle) &&
        !o->path && isatty(STDOUT_FILENO)) {
        argp_error(state, "binary records cannot go to a terminal: use -o FILE or a pipe");
    }
}

static error_t parse(int key, char * argument, struct argp_state * state) {
    struct options * o = state->input;
    switch (key) {
        case 'f': o->format_name = argument; return 0;
        case 'o':
            if (!*argument) { argp_error(state, "--output: the file name is empty"); }
            o->path = strcmp(argument, "-") == 0 ? NULL : argument;
            return 0;
        case KEY_REFERENCES: o->references = true; return 0;
        case KEY_UNIT:
            if (!parse_cache_unit(argument, &o->unit)) { argp_error(state, "--unit '%s' is " CACHE_UNITS, argument); }
            return 0;
        case KEY_MAX_SIZE:
            if (!parse_bytes(argument, &o->max_size) || !o->max_size) {
                argp_error(state, "--max-size '%s': must be a size such as 500MB or 2GB", argument);
            }
            return 0;
        case ARGP_KEY_SUCCESS: complete(o, state); return 0;
        default: break;
    }
    if (export_html_parse(&o->html, key, argument, state) == 0) { return 0; }
    const error_t status = export_experts_parse(&o->experts, key, argument, state);
    return status == ARGP_ERR_UNKNOWN ? access_options_parse(&o->access, key, argument, state) : status;
}

/* ---- records ---- */

static void show_progress(void * progress, uint64_t evaluations) {
    progress_update(progress, evaluations);
}

/* To `out`; the writer is left for its counts, to be freed. 0, or -1 with *error. */
static int write_records(const struct options * o, const struct tat_trace * trace, struct access_writer * writer,
                         FILE * out, struct tat_error * error) {
    struct access_request request = o->access.request;
    struct progress progress;
    uint32_t n_evaluations;
    tat_trace_evaluations(trace, &n_evaluations);
    if (!isatty(fileno(out))) {
        request.progress = show_progress;
        request.user = &progress;
    }
    progress_begin(&progress, "exporting", n_evaluations);
    access_writer_begin(writer, o->format, trace, out, o->path ? o->path : "standard output");
    const int status = access_stream(&request, trace, writer, error);
    progress_end(&progress);
    return status;
}

/* FILE.json. */
static int write_description(const struct access_writer * writer, struct tat_error * error) {
    struct file_replace file;
    char * path = NULL;
    int status = -1;
    if (asprintf(&path, "%s.json", writer->name) < 0) { return tat_fail_errno(error, "%s.json", writer->name); }
    if (file_replace_open(&file, path, error) == 0) {
        const int good = access_bin_describe(writer, file.file, error) == 0;
        status = file_replace_end(&file, good, error);
    }
    free(path);
    return status;
}

static void say_what(const struct options * o, const struct access_writer * writer) {
    char count[UNITS_SIZE];
    fprintf(stderr, "tat export: %s access records in %s", format_count(count, writer->count), o->path);
    if (o->format == &access_bin) { fprintf(stderr, "; %s.json describes them", o->path); }
    fputc('\n', stderr);
}

/* The records are there all the same. */
static void warn_no_io(const struct access_writer * writer) {
    const char * why = writer->perfetto ? perfetto_no_io(writer->perfetto) : NULL;
    if (why) { fprintf(stderr, "tat export: warning: no I/O events: %s\n", why); }
}

static int export_to_file(const struct options * o, const struct tat_trace * trace, struct tat_error * error) {
    struct file_replace file;
    struct access_writer writer;
    if (file_replace_open(&file, o->path, error) != 0) { return -1; }
    const bool in_place = file.beside == NULL;
    int status = write_records(o, trace, &writer, file.file, error);
    if (status == 0 && o->format == &access_bin && !in_place) { status = write_description(&writer, error); }
    if (file_replace_end(&file, status == 0, error) != 0) { status = -1; }
    if (status == 0 && !in_place) { say_what(o, &writer); }
    warn_no_io(&writer);
    access_writer_free(&writer);
    return status;
}

static int export_to_stdout(const struct options * o, const struct tat_trace * trace, struct tat_error * error) {
    struct access_writer writer;
    const int status = write_records(o, trace, &writer, stdout, error);
    warn_no_io(&writer);
    access_writer_free(&writer);
    return status;
}

/* ---- references ---- */

static void say_string(const struct options * o, const struct reference_count * count) {
    char reads[UNITS_SIZE], items[UNITS_SIZE];
    fprintf(stderr, "tat export: %s reads of %s objects in %s\n", format_count(reads, count->reads),
            format_count(items, count->items), o->path);
    if (count->graphs < count->all_graphs) {
        fprintf(stderr, "tat export: of the first %" PRIu64 " of %" PRIu64 " graphs: more are too many reads\n",
                count->graphs, count->all_graphs);
    }
}

static int write_references(const struct options * o, const struct tat_trace * trace, FILE * out,
                            struct reference_count * count, struct tat_error * error) {
    const struct reference_request request = { o->reference_format, o->unit, o->access.model };
    const int status =
        reference_string_write(&request, trace, out, o->path ? o->path : "standard output", count, error);
    if (status != 0 || count->reads) { return status; }
    return tat_fail(error, TAT_ERROR_NO, "neither a prompt nor a generated token read a weight");
}

static int export_references(const struct options * o, const struct tat_trace * trace, struct tat_error * error) {
    struct file_replace file;
    struct reference_count count = { 0 };
    if (!o->path) { return write_references(o, trace, stdout, &count, error); }
    if (file_replace_open(&file, o->path, error) != 0) { return -1; }
    const bool in_place = file.beside == NULL;
    int status = write_references(o, trace, file.file, &count, error);
    if (file_replace_end(&file, status == 0, error) != 0) { status = -1; }
    if (status == 0 && !in_place) { say_string(o, &count); }
    return status;
}

static int check_size(const struct options * o, const struct tat_trace * trace, struct tat_error * error) {
    const uint64_t most = o->max_size ? o->max_size : PERFETTO_BYTES_MAX;
    return o->format == &access_perfetto ? perfetto_check_size(&o->access.request, trace, most, error) : 0;
}

static int run(int argc, char ** argv) {
    struct options options = { 0 };
    struct tat_error error;
    access_options_begin(&options.access);
    command_parse(&cmd_export, parse, argc, argv, 0, &options);
    signal(SIGPIPE, SIG_DFL); /* "| head" ends us quietly, whoever started us */
    if (options.experts.what) {
        return export_experts(&options.experts, options.path, &error) == 0 ? 0 : command_fail(&cmd_export, &error);
    }
    if (options.is_html) {
        return export_html(&options.html, options.experts.traces, (size_t) options.experts.n_traces, options.path,
                           &error) == 0
                   ? 0
                   : command_fail(&cmd_export, &error);
    }
    struct tat_trace * trace = access_options_open(&options.access, &error);
    if (!trace) { return command_fail(&cmd_export, &error); }
    int status = check_size(&options, trace, &error);
    if (status == 0) {
        status = options.references ? export_references(&options, trace, &error)
                 : options.path     ? export_to_file(&options, trace, &error)
                                    : export_to_stdout(&options, trace, &error);
    }
    if (status != 0) { status = command_fail(&cmd_export, &error); }
    access_options_close(&options.access, trace);
    return status;
}

const struct command cmd_export = {
    .name = "export",
    .summary = "write access records as CSV, JSON lines, binary, timeline or page",
    .arguments = "[TRACE...]",
    .description =
        "Writes the access records of a trace for other programs: spreadsheets, databases, pandas, numpy, Perfetto. "
        "doc/format.md describes the columns and binary fields. Records are streamed, so a trace can be of any length. "
        "If no record matches the filters, nothing is written and the exit status is 1.",
    .examples = "  tat export -o accesses.csv              all records of the newest trace\n"
                "  tat export --format jsonl --phases generate | gzip > generate.jsonl.gz\n"
                "  tat export -o accesses.bin RUN          and accesses.bin.json, for numpy\n"
                "  tat export --kinds kv --heads -o kv.csv  the KV cache by head\n"
                "  tat export -o run.perfetto --tokens 6:20  for ui.perfetto.dev\n"
                "  tat export -o run.html                  a page to send to a colleague\n"
                "  tat export --references -o run.oracleGeneral  for libCacheSim\n"
                "  tat export --expert-counts RUN RUN      the sums of two runs\n"
                "  llama-server -ngl 99 -ot \"$(tat export --override-tensor --memory 8G)\" ...",
    .options = table,
    .run = run,
};
