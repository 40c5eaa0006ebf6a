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

enum { TEXT = 96, SOURCES_TEXT = TAT_MAX_SRC * 20 };

/* "576x5": without the ones at the end. */
static void put_numbers(char text[static TEXT], const uint64_t numbers[static 4], unsigned count) {
    size_t used = 0;
    for (unsigned i = 0; i < count; i++) {
        used += (size_t) snprintf(text + used, TEXT - used, "%s%" PRIu64, i ? "x" : "", numbers[i]);
    }
}

static unsigned dimensions(const struct tat_entry * e) {
    unsigned n = 4;
    while (n > 1 && e->ne[n - 1] == 1) { n--; }
    return n;
}

/* "12 - 15": a place without a source has a dash. */
static void put_sources(char text[static SOURCES_TEXT], const struct tat_entry * e) {
    unsigned n    = TAT_MAX_SRC;
    size_t   used = 0;
    while (n > 0 && e->src[n - 1] == TAT_NO_ENTRY) { n--; }
    *text = '\0';
    for (unsigned i = 0; i < n; i++) {
        const char * const before = i ? " " : "";
        used += (size_t) (e->src[i] == TAT_NO_ENTRY
                              ? snprintf(text + used, SOURCES_TEXT - used, "%s-", before)
                              : snprintf(text + used, SOURCES_TEXT - used, "%s%" PRIu32, before, e->src[i]));
    }
}

static void put_entry(struct text_out * out, enum text_format format, const struct tat_trace * trace,
                      const struct tat_template * t, uint32_t number) {
    uint32_t                 count;
    const struct tat_entry * e       = &t->entries[number];
    const bool               is_leaf = number < t->n_leaves;
    char                     shape[TEXT], strides[TEXT], sources[SOURCES_TEXT], line[2 * TEXT];
    put_numbers(shape, e->ne, dimensions(e));
    put_numbers(strides, e->nb, 4);
    put_sources(sources, e);
    if (format == TEXT_TABLE) {
        snprintf(line, sizeof line, "%5" PRIu32 "  %-14s  %-14s  ", number, is_leaf ? "" : e->op, shape);
        text_out_visible(out, line);
        text_out_visible(out, e->name);
        text_out_string(out, *sources ? "  <- " : "");
        text_out_string(out, sources);
        text_out_char(out, '\n');
        return;
    }
    const struct cell none           = { .kind = CELL_EMPTY };
    const struct cell cells[COLUMNS] = {
        [ENTRY]     = cell_number(number),
        [KIND]      = cell_text(is_leaf ? "leaf" : "node"),
        [OP]        = is_leaf ? none : cell_text(e->op),
        [NAME]      = cell_text(e->name),
        [LAYER]     = e->layer == TAT_NO_LAYER ? none : cell_number(e->layer),
        [SHAPE]     = cell_text(shape),
        [STRIDES]   = cell_text(strides),
        [TENSOR_ID] = cell_number(e->tensor),
        [TENSOR]    = cell_text(tat_trace_tensors(trace, &count)[e->tensor].name),
        [OFFSET]    = cell_signed(e->offset),
        [SOURCES]   = cell_text(sources),
    };
    if (format == TEXT_JSON) {
        row_json(out, columns, cells, COLUMNS);
    } else {
        row_tsv(out, cells, COLUMNS);
    }
}

int graph_text(const struct tat_trace * trace, uint32_t evaluation, enum text_format format, FILE * file,
               struct tat_error * error) {
    uint32_t                      n_evaluations, n_templates;
    const struct tat_evaluation * e         = tat_trace_evaluations(trace, &n_evaluations);
    const struct tat_template *   templates = tat_trace_templates(trace, &n_templates);
    struct text_out               out;
    if (evaluation >= n_evaluations) {
        return tat_fail(error, TAT_ERROR_NO,
                        "there is no evaluation %" PRIu32 ": the trace has %" PRIu32 ", counted from 0", evaluation,
                        n_evaluations);
    }
    const struct tat_template * t = &templates[e[evaluation].template];
    text_out_begin(&out, file);
    if (format == TEXT_TSV) { row_names(&out, columns, COLUMNS, '\t'); }
    if (format == TEXT_TABLE) { text_out_string(&out, "ENTRY  OP              SHAPE           NAME  <- SOURCES\n"); }
    for (uint32_t i = 0; i < t->n_leaves + t->n_nodes; i++) { put_entry(&out, format, trace, t, i); }
    errno = text_out_end(&out);
    return errno ? tat_fail_errno(error, "cannot write the graph") : 0;
}
