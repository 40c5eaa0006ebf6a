/* SPDX-License-Identifier: MIT
 *
 * tat gguf: what a model file holds, and whether it is sound.
 */
#include <inttypes.h>
#include <libsmartcols.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/terminal.h"
#include "export/gguf_csv.h"
#include "export/gguf_json.h"
#include "tat/gguf.h"

enum view { VIEW_TENSORS, VIEW_CSV, VIEW_JSON, VIEW_METADATA, VIEW_CHECK };

struct options {
    const char * path;
    enum view    view;
    unsigned     flags;
};

enum { KEY_CSV = 256, KEY_JSON, KEY_METADATA, KEY_CHECK, KEY_SINGLE };

static const struct argp_option options_table[] = {
    { "csv", KEY_CSV, NULL, 0, "Print the tensors as CSV, as in a trace's gguf_structure.csv", 0 },
    { "json", KEY_JSON, NULL, 0, "Print everything as JSON", 0 },
    { "metadata", KEY_METADATA, NULL, 0, "Print the metadata in place of the tensors", 0 },
    { "check", KEY_CHECK, NULL, 0,
      "Print only what is wrong: overlaps, gaps, tensors that end after the file. Exit status 1 if anything is", 0 },
    { "single", KEY_SINGLE, NULL, 0, "Read this file alone, even if it is one part of a split model", 0 },
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
            if (options->path) argp_error(state, "one model file at a time; of a split model name any part");
            options->path = argument;
            return 0;
        case ARGP_KEY_NO_ARGS: argp_error(state, "name a model file"); return 0;
        default: return ARGP_ERR_UNKNOWN;
    }
}

/* ------------------------------------------------------------------------------------------------------------ tables
 */

struct column {
    const char * name;
    int          flags;
};

static struct libscols_table * new_table(const struct column * columns, size_t count) {
    struct libscols_table * table = scols_new_table();
    if (!table) return NULL;
    for (size_t i = 0; i < count; i++) {
        if (!scols_table_new_column(table, columns[i].name, 0, columns[i].flags)) {
            scols_unref_table(table);
            return NULL;
        }
    }
    return table;
}

static int print_table(struct libscols_table * table) {
    const int result = table ? scols_print_table(table) : -1;
    scols_unref_table(table);
    return result;
}

static void __attribute__((format(printf, 3, 4)))
set_cell(struct libscols_line * line, size_t column, const char * format, ...) {
    char    text[1200];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    scols_line_set_data(line, column, text);
}

static void set_shape(struct libscols_line * line, size_t column, const struct tat_gguf_tensor * tensor) {
    char   text[4 * 21 + 1] = "";
    size_t used             = 0;
    for (uint32_t i = 0; i < tensor->n_dims; i++) {
        used += (size_t) snprintf(text + used, sizeof text - used, "%s%" PRIu64, i ? "x" : "", tensor->ne[i]);
    }
    scols_line_set_data(line, column, text);
}

static int print_tensors(const struct tat_gguf * gguf) {
    static const struct column columns[] = {
        { "TENSOR", 0 },
        { "LAYER", SCOLS_FL_RIGHT },
        { "COMPONENT", 0 },
        { "TYPE", 0 },
        { "SHAPE", 0 },
        { "FILE", SCOLS_FL_RIGHT }, /* hidden unless there are several */
        { "OFFSET", SCOLS_FL_RIGHT },
        { "BYTES", SCOLS_FL_RIGHT },
    };
    uint32_t                       count, n_files;
    const struct tat_gguf_tensor * tensors = tat_gguf_tensors(gguf, &count);
    struct libscols_table *        table   = new_table(columns, sizeof columns / sizeof *columns);
    tat_gguf_files(gguf, &n_files);
    if (table && n_files == 1) scols_column_set_flags(scols_table_get_column(table, 5), SCOLS_FL_HIDDEN);
    for (uint32_t i = 0; table && i < count; i++) {
        struct libscols_line * line = scols_table_new_line(table, NULL);
        char                   type[TAT_TYPE_NAME_SIZE];
        if (!line) break;
        scols_line_set_data(line, 0, tensors[i].name);
        if (tensors[i].layer != TAT_NO_LAYER) set_cell(line, 1, "%u", tensors[i].layer);
        scols_line_set_data(line, 2, tat_component_name(tensors[i].component));
        scols_line_set_data(line, 3, tat_type_name(tensors[i].type, type));
        set_shape(line, 4, &tensors[i]);
        set_cell(line, 5, "%u", tensors[i].file + 1u);
        set_cell(line, 6, "%" PRIu64, tensors[i].file_offset);
        set_cell(line, 7, "%" PRIu64, tensors[i].bytes);
    }
    return print_table(table);
}

static void set_number(struct libscols_line * line, const struct tat_gguf_kv * kv) {
    int64_t  i;
    uint64_t u;
    double   f;
    if (kv->type == TAT_GGUF_BOOL) {
        scols_line_set_data(line, 2, kv->value.u ? "true" : "false");
    } else if (tat_gguf_int(kv, 0, &i)) {
        set_cell(line, 2, "%" PRId64, i);
    } else if (tat_gguf_uint(kv, 0, &u)) {
        set_cell(line, 2, "%" PRIu64, u);
    } else if (tat_gguf_float(kv, 0, &f)) {
        set_cell(line, 2, "%g", f);
    }
}

static int print_metadata(const struct tat_gguf * gguf) {
    static const struct column columns[] = { { "KEY", 0 }, { "TYPE", 0 }, { "VALUE", SCOLS_FL_TRUNC } };
    uint32_t                   count;
    const struct tat_gguf_kv * kvs   = tat_gguf_metadata(gguf, &count);
    struct libscols_table *    table = new_table(columns, sizeof columns / sizeof *columns);
    for (uint32_t i = 0; table && i < count; i++) {
        struct libscols_line * line = scols_table_new_line(table, NULL);
        if (!line) break;
        scols_line_set_data(line, 0, kvs[i].key);
        scols_line_set_data(line, 1, tat_gguf_value_name(kvs[i].type));
        if (kvs[i].type == TAT_GGUF_STRING) {
            scols_line_set_data(line, 2, kvs[i].value.string);
        } else if (kvs[i].type == TAT_GGUF_ARRAY) {
            set_cell(line, 2, "%" PRIu64 " x %s", kvs[i].n, tat_gguf_value_name(kvs[i].element));
        } else {
            set_number(line, &kvs[i]);
        }
    }
    return print_table(table);
}

/* ----------------------------------------------------------------------------------------------------------- summary
 */

/* Text from a file must not reach the terminal's ear: control characters, C1 ones in UTF-8 too, become question marks.
 */
static void print_safe(const char * text) {
    for (const unsigned char * c = (const unsigned char *) text; *c; c++) {
        const bool c1 = c[0] == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0;
        putchar(*c < 0x20 || *c == 0x7f || c1 ? '?' : *c);
        if (c1) c++;
    }
}

static void print_count(const char * name, uint32_t value) {
    if (value) printf(", %s %u", name, value);
}

static void print_params(const struct tat_gguf_params * p) {
    printf("model    ");
    print_safe(*p->name ? p->name : "without a name");
    printf("\nshape    architecture ");
    print_safe(*p->architecture ? p->architecture : "not given");
    print_count("layers", p->n_layer);
    print_count("embedding", p->n_embd);
    print_count("heads", p->n_head);
    print_count("KV heads", p->n_head_kv);
    print_count("head size", p->n_embd_head_k);
    print_count("FFN", p->n_ff);
    print_count("vocabulary", p->n_vocab);
    print_count("context", p->n_ctx_train);
    if (p->n_expert) printf("\nexperts  %u, used %u", p->n_expert, p->n_expert_used);
    print_count("shared", p->n_expert_shared);
    print_count("FFN", p->n_ff_expert);
    putchar('\n');
}

static void print_files(const struct tat_gguf * gguf) {
    uint32_t                     count, n_tensors;
    const struct tat_gguf_file * files = tat_gguf_files(gguf, &count);
    char                         size[32];
    for (uint32_t i = 0; i < count; i++) {
        printf("file     ");
        print_safe(files[i].path);
        printf(", %s, GGUF %u%s, %u tensors from byte %" PRIu64 "\n", format_bytes(files[i].size, size, sizeof size),
               files[i].version, files[i].big_endian ? " big-endian" : "", files[i].n_tensors, files[i].data_offset);
    }
    tat_gguf_tensors(gguf, &n_tensors);
    printf("tensors  %u, %s\n", n_tensors, format_bytes(tat_gguf_tensor_bytes(gguf), size, sizeof size));
    printf("hash     %016" PRIx64 "\n", tat_gguf_hash(gguf));
}

static void print_findings(const struct tat_gguf * gguf) {
    uint32_t                        count, n_files;
    uint64_t                        total;
    const struct tat_gguf_finding * findings = tat_gguf_findings(gguf, &count, &total);
    const struct tat_gguf_file *    files    = tat_gguf_files(gguf, &n_files);
    for (uint32_t i = 0; i < count; i++) {
        char line[300];
        print_safe(files[findings[i].file].path);
        printf(": %s: %s\n", findings[i].is_error ? "error" : "note",
               tat_gguf_finding_text(gguf, &findings[i], line, sizeof line));
    }
    if (total > count) printf("and %" PRIu64 " more\n", total - count);
}

/* ----------------------------------------------------------------------------------------------------------- running
 */

static int print_summary(const struct tat_gguf * gguf) {
    print_params(tat_gguf_params(gguf));
    print_files(gguf);
    print_findings(gguf);
    putchar('\n');
    return print_tensors(gguf);
}

static int print_json(const struct tat_gguf * gguf) {
    json_t *  json   = export_gguf_json(gguf);
    const int result = json ? json_dumpf(json, stdout, JSON_INDENT(1)) : -1;
    json_decref(json);
    putchar('\n');
    return result;
}

static int print_csv(const struct tat_gguf * gguf) {
    return export_gguf_csv(&gguf, 1, stdout, NULL);
}

static int print_check(const struct tat_gguf * gguf) {
    print_findings(gguf);
    return 0;
}

static int (*const views[])(const struct tat_gguf *) = {
    [VIEW_TENSORS] = print_summary,   [VIEW_CSV] = print_csv,     [VIEW_JSON] = print_json,
    [VIEW_METADATA] = print_metadata, [VIEW_CHECK] = print_check,
};

static int run(int argc, char ** argv) {
    struct options   options = { .flags = TAT_GGUF_TOLERANT };
    struct tat_error error   = { 0 };
    command_parse(&cmd_gguf, parse, argc, argv, 0, &options);
    struct tat_gguf * gguf = tat_gguf_open(options.path, options.flags, &error);
    if (!gguf) return command_fail(&cmd_gguf, &error);
    uint32_t count;
    uint64_t total;
    tat_gguf_findings(gguf, &count, &total);
    const int printed = views[options.view](gguf);
    tat_gguf_close(gguf);
    if (printed < 0 || fflush(stdout)) {
        tat_fail_errno(&error, "writing to standard output");
        return command_fail(&cmd_gguf, &error);
    }
    return options.view == VIEW_CHECK && total ? TAT_ERROR_NO : 0;
}

const struct command cmd_gguf = {
    .name      = "gguf",
    .summary   = "show the structure of a model file",
    .arguments = "FILE",
    .description =
        "Reads the header of a GGUF model file, or of all parts of a split model, and shows its hyper-parameters and "
        "where each tensor lies. Offsets count from the start of the file. Tensors that overlap, leave gaps or end "
        "after the file are reported.",
    .examples = "  tat gguf model.gguf                       hyper-parameters and tensors\n"
                "  tat gguf --csv model.gguf > tensors.csv   for a spreadsheet\n"
                "  tat gguf --check model.gguf               is the download complete?\n",
    .options  = options_table,
    .run      = run,
};
