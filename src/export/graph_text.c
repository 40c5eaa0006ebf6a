/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>

#include "export/block_text.h"
#include "export/text_row.h"

enum column { ENTRY, KIND, OP, NAME, LAYER, SHAPE, STRIDES, TENSOR_ID, TENSOR, OFFSET, SOURCES, COLUMNS };

static const char * const columns[COLUMNS] = {
    [ENTRY] = "entry",   [KIND] = "kind",     [OP] = "op",           [NAME] = "name",
    [LAYER] = "layer",   [SHAPE] = "shape",   [STRIDES] = "strides", [TENSOR_ID] = "tensor_id",
    [TENSOR] = "tensor", [OFFSET] = "offset", [SOURCES] = "sources",
};

enum { TEXT = 400 }; /* 16 numbers of 20 digits */

/* How a list of numbers is written. */
struct list_style {
    const char *begin, *between, *none, *end;
};
static const struct list_style as_shape = { "", "x", "", "" }, as_words = { "", " ", "-", "" },
                               as_json = { "[", ",", "null", "]" };

static void put_list(char text[static TEXT], struct list_style style, const uint64_t * numbers, unsigned count) {
    size_t used = (size_t) snprintf(text, TEXT, "%s", style.begin);
    for (unsigned i = 0; i < count; i++) {
        const char * before = i ? style.between : "";
        used +=
            (size_t) (numbers[i] == UINT64_MAX ? snprintf(text + used, TEXT - used, "%s%s", before, style.none)
                                               : snprintf(text + used, TEXT - used, "%s%" PRIu64, before, numbers[i]));
    }
    snprintf(text + used, TEXT - used, "%s", style.end);
}

/* Without the ones at the end. */
static unsigned dimensions(const struct tat_entry * e) {
    unsigned n = 4;
    while (n > 1 && e->ne[n - 1] == 1) { n--; }
    return n;
}

/* Those from the first to the last; UINT64_MAX stands in a gap. */
static unsigned sources(const struct tat_entry * e, uint64_t numbers[static TAT_MAX_SRC]) {
    unsigned n = TAT_MAX_SRC;
    while (n > 0 && e->src[n - 1] == TAT_NO_ENTRY) { n--; }
    for (unsigned i = 0; i < n; i++) { numbers[i] = e->src[i] == TAT_NO_ENTRY ? UINT64_MAX : e->src[i]; }
    return n;
}

static struct cell list_cell(const char * text, bool is_json) {
    return is_json ? (struct cell){ .kind = CELL_JSON, .text = text } : cell_text(text);
}

static void put_line(struct text_out * out, uint32_t number, const char * op, const char * shape, const char * name,
                     const char * from) {
    char line[2 * TEXT];
    snprintf(line, sizeof line, "%5" PRIu32 "  %-14s  %-14s  ", number, op, shape);
    text_out_visible(out, line);
    text_out_visible(out, name);
    if (*from) { text_out_string(out, "  <- "); }
    text_out_string(out, from);
    text_out_char(out, '\n');
}

static void put_entry(struct text_out * out, enum text_format format, const struct tat_trace * trace,
                      const struct tat_template * t, uint32_t number) {
    uint32_t count;
    const struct tat_entry * e = &t->entries[number];
    const bool is_leaf = number < t->n_leaves, is_json = format == TEXT_JSON;
    char shape[TEXT], strides[TEXT], from[TEXT];
    uint64_t numbers[TAT_MAX_SRC];
    const unsigned n_sources = sources(e, numbers);
    put_list(shape, is_json ? as_json : as_shape, e->ne, dimensions(e));
    put_list(strides, is_json ? as_json : as_shape, e->nb, 4);
    put_list(from, is_json ? as_json : as_words, numbers, n_sources);
    if (format == TEXT_TABLE) {
        put_line(out, number, is_leaf ? "" : e->op, shape, e->name, from);
        return;
    }
    const struct cell none = { .kind = CELL_EMPTY };
    const struct cell cells[COLUMNS] = {
        [ENTRY] = cell_number(number),
        [KIND] = cell_text(is_leaf ? "leaf" : "node"),
        [OP] = is_leaf ? none : cell_text(e->op),
        [NAME] = cell_text(e->name),
        [LAYER] = e->layer == TAT_NO_LAYER ? none : cell_number(e->layer),
        [SHAPE] = list_cell(shape, is_json),
        [STRIDES] = list_cell(strides, is_json),
        [TENSOR_ID] = cell_number(e->tensor),
        [TENSOR] = cell_text(tat_trace_tensors(trace, &count)[e->tensor].name),
        [OFFSET] = cell_signed(e->offset),
        [SOURCES] = list_cell(from, is_json),
    };
    if (format == TEXT_JSON) {
        row_json(out, columns, cells, COLUMNS);
    } else {
        row_tsv(out, cells, COLUMNS);
    }
}

int graph_text(const struct tat_trace * trace, uint32_t evaluation, enum text_format format, FILE * file,
               struct tat_error * error) {
    uint32_t n_evaluations, n_templates;
    const struct tat_evaluation * e = tat_trace_evaluations(trace, &n_evaluations);
    const struct tat_template * templates = tat_trace_templates(trace, &n_templates);
    struct text_out out;
    if (evaluation >= n_evaluations) {
        return tat_fail(error, TAT_ERROR_NO,
                        "there is no evaluation %" PRIu32 ": the trace has %" PRIu32 ", counted from 0", evaluation,
                        n_evaluations);
    }
    const struct tat_template * t = &templates[e[evaluation].template_id];
    text_out_begin(&out, file);
    if (format == TEXT_TSV) { row_names(&out, columns, COLUMNS, '\t'); }
    if (format == TEXT_TABLE) { text_out_string(&out, "ENTRY  OP              SHAPE           NAME  <- SOURCES\n"); }
    for (uint32_t i = 0; i < t->n_leaves + t->n_nodes; i++) { put_entry(&out, format, trace, t, i); }
    errno = text_out_end(&out);
    return errno ? tat_fail_errno(error, "cannot write the graph") : 0;
}
