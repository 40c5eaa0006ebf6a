/* SPDX-License-Identifier: MIT
 *
 * tat gguf: what a model file holds, and whether it is sound.
 */
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/command.h"
#include "cli/gguf_findings.h"
#include "cli/pager.h"
#include "cli/run_folder.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "cli/units.h"
#include "export/gguf_csv.h"
#include "export/gguf_json.h"
#include "format/file_names.h"
#include "tat/format.h"
#include "tat/gguf.h"

enum view { VIEW_TENSORS, VIEW_CSV, VIEW_JSON, VIEW_METADATA, VIEW_CHECK };

struct options {
    const char * path;
    enum view view;
    unsigned flags;
};

enum { KEY_CSV = 256, KEY_JSON, KEY_METADATA, KEY_CHECK, KEY_SINGLE };

static const struct argp_option options_table[] = {
    { "csv", KEY_CSV, NULL, 0, "Print the tensors as CSV, like a trace's gguf_structure.csv", 0 },
    { "json", KEY_JSON, NULL, 0, "Print everything as JSON", 0 },
    { "metadata", KEY_METADATA, NULL, 0, "Print the metadata instead of the tensors", 0 },
    { "check", KEY_CHECK, NULL, 0,
      "Print only problems: overlaps, gaps, tensors beyond the end of the file. The exit status is 1 if there are any, "
      "even if the model is usable",
      0 },
    { "single", KEY_SINGLE, NULL, 0, "Read only this file, even if it is part of a split model", 0 },
    { 0 },
};

static error_t parse(int key, char * argument, struct argp_state * state) {
    struct options * options = state->input;
    switch (key) {
        case KEY_CSV: options->view = VIEW_CSV; return 0;
        case KEY_JSON: options->view = VIEW_JSON; return 0;
        case KEY_METADATA: options->view = VIEW_METADATA; return 0;
        case KEY_CHECK: options->view = VIEW_CHECK; return 0;
        case KEY_SINGLE: options->flags |= TAT_GGUF_SINGLE; return 0;
        case ARGP_KEY_ARG:
            if (options->path) { argp_error(state, "name only one model file; for a split model, any of its parts"); }
            options->path = argument;
            return 0;
        case ARGP_KEY_NO_ARGS: argp_error(state, "name a model file"); return 0;
        default: return ARGP_ERR_UNKNOWN;
    }
}

/* ---- tables ---- */

#define NUMBER_SIZE 32
#define SHAPE_SIZE  (TAT_GGUF_MAX_DIMS * 21 + 1)

static const char * number(char text[static NUMBER_SIZE], uint64_t value) {
    snprintf(text, NUMBER_SIZE, "%" PRIu64, value);
    return text;
}

static const char * shape(char text[static SHAPE_SIZE], const struct tat_gguf_tensor * tensor) {
    size_t used = 0;
    *text = '\0';
    for (uint32_t i = 0; i < tensor->n_dims; i++) {
        used += (size_t) snprintf(text + used, SHAPE_SIZE - used, "%s%" PRIu64, i ? "x" : "", tensor->ne[i]);
    }
    return text;
}

/* The last column is there if the model has several files. */
static int print_tensors(const struct tat_gguf * gguf) {
    static const struct column columns[] = {
        { .name = "TENSOR", .cut = true },
        { .name = "LAYER", .right = true, .spare = true }, /* the name says both */
        { .name = "COMPONENT", .spare = true },
        { .name = "TYPE" },
        { .name = "SHAPE" },
        { .name = "OFFSET", .right = true },
        { .name = "BYTES", .right = true },
        { .name = "FILE", .right = true },
    };
    uint32_t count, n_files;
    const struct tat_gguf_tensor * tensors = tat_gguf_tensors(gguf, &count);
    tat_gguf_files(gguf, &n_files);
    struct table * table = table_new(columns, sizeof columns / sizeof *columns - (n_files == 1));
    for (uint32_t i = 0; i < count; i++) {
        const struct tat_gguf_tensor * t = &tensors[i];
        char type[TAT_TYPE_NAME_SIZE], dims[SHAPE_SIZE];
        char layer[NUMBER_SIZE], offset[NUMBER_SIZE], bytes[NUMBER_SIZE], file[NUMBER_SIZE];
        table_row(table, (const char *[]){
                             t->name,
                             t->layer == TAT_NO_LAYER ? NULL : number(layer, t->layer),
                             tat_component_name(t->component),
                             tat_type_name(t->type, type),
                             shape(dims, t),
                             number(offset, t->file_offset),
                             number(bytes, t->bytes),
                             number(file, t->file + 1u),
                         });
    }
    return table_print(table, stdout);
}

static const char * value(char text[static NUMBER_SIZE], const struct tat_gguf_kv * kv) {
    int64_t i;
    uint64_t u;
    double f;
    *text = '\0';
    if (kv->type == TAT_GGUF_STRING) { return kv->value.string; }
    if (kv->type == TAT_GGUF_BOOL) { return kv->value.u ? "true" : "false"; }
    if (kv->type == TAT_GGUF_ARRAY) {
        snprintf(text, NUMBER_SIZE, "%" PRIu64 " x %s", kv->n, tat_gguf_value_name(kv->element));
    } else if (tat_gguf_int(kv, 0, &i)) {
        snprintf(text, NUMBER_SIZE, "%" PRId64, i);
    } else if (tat_gguf_uint(kv, 0, &u)) {
        number(text, u);
    } else if (tat_gguf_float(kv, 0, &f)) {
        snprintf(text, NUMBER_SIZE, "%g", f);
    }
    return text;
}

static int print_metadata(const struct tat_gguf * gguf) {
    static const struct column columns[] = { { .name = "KEY" }, { .name = "TYPE" }, { .name = "VALUE", .cut = true } };
    uint32_t count;
    const struct tat_gguf_kv * kvs = tat_gguf_metadata(gguf, &count);
    struct table * table = table_new(columns, sizeof columns / sizeof *columns);
    for (uint32_t i = 0; i < count; i++) {
        char text[NUMBER_SIZE];
        table_row(table, (const char *[]){ kvs[i].key, tat_gguf_value_name(kvs[i].type), value(text, &kvs[i]) });
    }
    return table_print(table, stdout);
}

/* ---- summary ---- */

static void print_count(const char * name, uint32_t value) {
    if (value) { printf(", %s %u", name, value); }
}

static void print_params(const struct tat_gguf_params * p) {
    printf("model    ");
    print_safe(*p->name ? p->name : "(unnamed)", stdout);
    printf("\nshape    architecture ");
    print_safe(*p->architecture ? p->architecture : "unknown", stdout);
    print_count("layers", p->n_layer);
    print_count("embedding", p->n_embd);
    print_count("FFN", p->n_ff);
    if (p->n_head) { printf("\nheads    %u", p->n_head); }
    print_count("KV heads", p->n_head_kv);
    print_count("head size", p->n_embd_head_k);
    if (p->n_vocab) { printf("\ntokens   vocabulary %u", p->n_vocab); }
    print_count("context", p->n_ctx_train);
    if (p->n_expert) { printf("\nexperts  %u, used %u", p->n_expert, p->n_expert_used); }
    print_count("shared", p->n_expert_shared);
    print_count("FFN", p->n_ff_expert);
    putchar('\n');
}

static void print_files(const struct tat_gguf * gguf) {
    uint32_t count, n_tensors;
    const struct tat_gguf_file * files = tat_gguf_files(gguf, &count);
    char size[UNITS_SIZE];
    for (uint32_t i = 0; i < count; i++) {
        printf("file     ");
        print_safe(files[i].path, stdout);
        printf(", %s, GGUF %u%s, %u tensors from byte %" PRIu64 "\n", format_bytes(size, files[i].size),
               files[i].version, files[i].big_endian ? " big-endian" : "", files[i].n_tensors, files[i].data_offset);
    }
    tat_gguf_tensors(gguf, &n_tensors);
    printf("tensors  %u, %s\n", n_tensors, format_bytes(size, tat_gguf_tensor_bytes(gguf)));
    printf("hash     %016" PRIx64 "\n", tat_gguf_hash(gguf));
}

/* ---- running ---- */

static int print_summary(const struct tat_gguf * gguf) {
    print_params(tat_gguf_params(gguf));
    print_files(gguf);
    gguf_print_findings(gguf, stdout);
    putchar('\n');
    return print_tensors(gguf);
}

static int print_json(const struct tat_gguf * gguf) {
    json_t * json = export_gguf_json(gguf);
    const int result = json ? json_dumpf(json, stdout, JSON_INDENT(1)) : -1;
    json_decref(json);
    putchar('\n');
    return result;
}

static int print_csv(const struct tat_gguf * gguf) {
    return export_gguf_csv(&gguf, 1, stdout, NULL);
}

static int print_check(const struct tat_gguf * gguf) {
    gguf_print_findings(gguf, stdout);
    return 0;
}

static int (*const views[])(const struct tat_gguf *) = {
    [VIEW_TENSORS] = print_summary,   [VIEW_CSV] = print_csv,     [VIEW_JSON] = print_json,
    [VIEW_METADATA] = print_metadata, [VIEW_CHECK] = print_check,
};

static bool begins_like_a_trace(const char * path) {
    char magic[sizeof TAT_MAGIC - 1];
    struct stat status;
    FILE * file = stat(path, &status) == 0 && S_ISREG(status.st_mode) ? fopen(path, "re") : NULL;
    if (!file) { return false; }
    const bool is_one = fread(magic, sizeof magic, 1, file) == 1 && memcmp(magic, TAT_MAGIC, sizeof magic) == 0;
    fclose(file);
    return is_one;
}

/* Its file or its folder. */
static bool is_trace(const char * path) {
    char inside[PATH_MAX];
    return begins_like_a_trace(path) ||
           (snprintf(inside, sizeof inside, "%s/" TRACE_FILE, path) < PATH_MAX && begins_like_a_trace(inside));
}

static int run(int argc, char ** argv) {
    struct options options = { .flags = TAT_GGUF_TOLERANT };
    struct tat_error error = { 0 };
    command_parse(&cmd_gguf, parse, argc, argv, 0, &options);
    struct tat_gguf * gguf = tat_gguf_open(options.path, options.flags, &error);
    if (!gguf) {
        if (is_trace(options.path)) {
            tat_fail(&error, TAT_ERROR_INPUT,
                     "%s: a trace, not a model file; `tat report` and `tat dump` show what it holds", options.path);
        }
        return command_fail(&cmd_gguf, &error);
    }
    uint32_t count;
    uint64_t total;
    tat_gguf_findings(gguf, &count, &total);
    pager_open();
    const int printed = views[options.view](gguf);
    const bool is_damaged = gguf_is_damaged(gguf);
    if (is_damaged && (options.view == VIEW_CSV || options.view == VIEW_METADATA)) { /* which do not say so */
        pager_close();
        gguf_print_findings(gguf, stderr);
    }
    tat_gguf_close(gguf);
    if (printed < 0 || fflush(stdout)) {
        tat_fail_errno(&error, "cannot write to standard output");
        return command_fail(&cmd_gguf, &error);
    }
    return is_damaged || (options.view == VIEW_CHECK && total) ? TAT_ERROR_NO : TAT_OK;
}

const struct command cmd_gguf = {
    .name = "gguf",
    .summary = "show the structure of a model file",
    .arguments = "FILE",
    .description =
        "Reads the header of a GGUF model file, or of all parts of a split model. Shows the hyperparameters, and where "
        "each tensor is; offsets count from the start of the file. Reports tensors that overlap, leave gaps or extend "
        "beyond the end of the file. The exit status is 1 if the model is damaged.",
    .examples = "  tat gguf model.gguf                       hyperparameters and tensors\n"
                "  tat gguf --csv model.gguf > tensors.csv   for a spreadsheet\n"
                "  tat gguf --check model.gguf               is the download complete?",
    .options = options_table,
    .run = run,
};
