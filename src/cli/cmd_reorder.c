/* SPDX-License-Identifier: MIT
 *
 * tat reorder: a model file with its tensors in the order in which inference reads them.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/command.h"
#include "cli/reorder_text.h"
#include "cli/units.h"

struct options {
    const char *model, *output, *trace;
    uint32_t alignment; /* 0: as it is */
    bool by_name, force, json;
};

enum { KEY_TRACE = 256, KEY_BY_NAME, KEY_ALIGN, KEY_FORCE, KEY_JSON };

static const struct argp_option table[] = {
    { "output", 'o', "FILE", 0,
      "Write the reordered model to FILE. If the model has parts, FILE is the first of the new ones: "
      "NAME-00001-of-00003.gguf",
      0 },
    { "trace", KEY_TRACE, "RUN", 0, "Take the order from this trace. Default: the newest trace of the model", 0 },
    { "by-name", KEY_BY_NAME, NULL, 0, "Take the order from the tensors' names, even if there is a trace of the model",
      0 },
    { "align", KEY_ALIGN, "SIZE", 0,
      "Let every tensor begin at a multiple of SIZE, such as 4096, a page. Changes general.alignment", 0 },
    { "force", KEY_FORCE, NULL, 0, "Replace FILE if it exists", 0 },
    { "json", KEY_JSON, NULL, 0, "Print JSON", 0 },
    { 0 },
};

static uint32_t parse_alignment(const char * text, struct argp_state * state) {
    uint64_t bytes = 0;
    if (!parse_bytes(text, &bytes) || bytes < REWRITE_ALIGNMENT_LEAST || bytes > REWRITE_ALIGNMENT_MOST ||
        bytes & (bytes - 1)) {
        argp_error(state, "--align '%s' is not a power of two from %d to %d", text, REWRITE_ALIGNMENT_LEAST,
                   REWRITE_ALIGNMENT_MOST);
    }
    return (uint32_t) bytes;
}

static error_t parse(int key, char * argument, struct argp_state * state) {
    struct options * o = state->input;
    switch (key) {
        case 'o': o->output = argument; return 0;
        case KEY_TRACE: o->trace = argument; return 0;
        case KEY_BY_NAME: o->by_name = true; return 0;
        case KEY_ALIGN: o->alignment = parse_alignment(argument, state); return 0;
        case KEY_FORCE: o->force = true; return 0;
        case KEY_JSON: o->json = true; return 0;
        case ARGP_KEY_ARG:
            if (o->model) { argp_error(state, "name only one model file; for a split model, any of its parts"); }
            o->model = argument;
            return 0;
        case ARGP_KEY_NO_ARGS: argp_error(state, "name a model file"); return 0;
        case ARGP_KEY_END:
            if (o->trace && o->by_name) { argp_error(state, "--trace and --by-name exclude each other"); }
            if (o->force && !o->output) { argp_error(state, "--force needs --output"); }
            return 0;
        default: return ARGP_ERR_UNKNOWN;
    }
}

struct work {
    const struct options * options;
    struct tat_gguf * gguf;
    struct reorder_source source;
    struct reorder_files files;
};

static int count_seeks(const struct work * w, struct reorder_outcome * outcome, struct tat_error * error) {
    const struct file_order * order = &w->source.order;
    uint32_t n;
    const struct tat_gguf_tensor * tensors = tat_gguf_tensors(w->gguf, &n);
    uint64_t * place = malloc((n + (size_t) 1) * sizeof *place);
    if (!place) { return tat_fail(error, TAT_ERROR_SYSTEM, "out of memory"); }
    for (uint32_t i = 0; i < n; i++) { place[i] = tensors[i].file_offset; }
    int status = file_seeks_count(&outcome->before, order, w->gguf, place, w->source.trace, error);
    free(place);
    if (status == 0) {
        status = file_seeks_count(&outcome->after, order, w->gguf, w->files.place, w->source.trace, error);
    }
    return status;
}

static uint32_t count_moved(const struct reorder_files * files) {
    uint32_t moved = 0;
    for (uint32_t i = 0; i < files->count; i++) {
        const struct rewrite * r = &files->parts[i].rewrite;
        for (uint32_t j = 0; j < r->file->n_tensors; j++) { moved += r->order[j] != j; }
    }
    return moved;
}

static int print(const struct work * w, const struct reorder_outcome * outcome, struct tat_error * error) {
    const int printed = w->options->json ? reorder_print_json(outcome) : reorder_print(outcome);
    return printed == 0 ? 0 : tat_fail_errno(error, "cannot write to standard output");
}

/* The status, or -1 with *error. */
static int reorder(struct work * w, struct tat_error * error) {
    const struct options * o = w->options;
    struct reorder_outcome outcome = { .path = o->model, .source = &w->source, .files = &w->files };
    w->gguf = tat_gguf_open(o->model, 0, error);
    outcome.gguf = w->gguf;
    if (!w->gguf || reorder_source_open(&w->source, w->gguf, o->trace, o->by_name, error) ||
        reorder_files_open(&w->files, w->gguf, w->source.order.tensor, o->alignment, o->output, error) ||
        (o->output && reorder_files_check(&w->files, o->force, error)) || count_seeks(w, &outcome, error)) {
        return -1;
    }
    outcome.moved = count_moved(&w->files);
    const bool needless = reorder_files_are_needless(&w->files);
    if (o->output && !needless) {
        if (reorder_files_write(&w->files, o->force, error)) { return -1; }
        outcome.output = o->output;
    }
    if (print(w, &outcome, error)) { return -1; }
    if (!needless) { return TAT_OK; }
    return tat_fail(error, TAT_ERROR_NO, "%s: already has this order%s", o->model,
                    o->output ? "; nothing was written" : "");
}

static int run(int argc, char ** argv) {
    struct options options = { 0 };
    struct work work = { .options = &options };
    struct tat_error error = { 0 };
    command_parse(&cmd_reorder, parse, argc, argv, 0, &options);
    int status = reorder(&work, &error);
    if (status < 0) { status = command_fail(&cmd_reorder, &error); }
    reorder_files_close(&work.files);
    reorder_source_close(&work.source);
    tat_gguf_close(work.gguf);
    return status;
}

const struct command cmd_reorder = {
    .name = "reorder",
    .summary = "write a model's tensors in the order of inference",
    .arguments = "MODEL",
    .description =
        "Shows how far apart a token's reads of weights are in a GGUF model file, and how far apart they would be if "
        "the tensors stood in the order in which inference reads them. With --output, writes the model in that order, "
        "with the same metadata and tensors. All is read back and compared byte for byte before FILE gets its name; if "
        "that fails, no file is left. The order comes from a trace of the model or, if there is none, from the names "
        "of the tensors. The exit status is 1 if the model already has that order; then nothing is written.",
    .examples = "  tat reorder model.gguf                       what would it gain?\n"
                "  tat reorder model.gguf -o ordered.gguf\n"
                "  tat reorder --align 4096 model.gguf -o ordered.gguf\n",
    .options = table,
    .run = run,
};
