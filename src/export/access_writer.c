/* SPDX-License-Identifier: MIT */
#include "export/access_writer.h"

#include <errno.h>

void access_writer_begin(struct access_writer * w, const struct access_format * format, const struct tat_trace * trace,
                         FILE * out, const char * name) {
    w->format = format;
    w->context = access_context_of(trace);
    w->name = name;
    w->count = 0;
    w->heads = NULL;
    w->layouts = (struct layout_table){ 0 };
    text_out_begin(&w->out, out);
}

bool access_writer_put(struct access_writer * w, const struct tat_access * a, struct tat_layout layout) {
    if (w->count == 0 && w->format->begin) { w->format->begin(w); }
    w->format->record(w, a, layout);
    w->evaluation = a->evaluation;
    w->node = a->node;
    w->count++;
    return !w->out.error;
}

int access_writer_end(struct access_writer * w, struct tat_error * error) {
    errno = text_out_end(&w->out);
    return errno ? tat_fail_errno(error, "%s: cannot write the access records", w->name) : 0;
}

void access_writer_free(struct access_writer * w) {
    layout_table_free(&w->layouts);
}

/* ---- text ---- */

static void csv_begin(struct access_writer * w) {
    row_names(&w->out, access_columns, ACCESS_COLUMNS, ',');
}

static void csv_record(struct access_writer * w, const struct tat_access * a, struct tat_layout layout) {
    struct cell cells[ACCESS_COLUMNS];
    char scratch[ACCESS_SCRATCH];
    access_cells(&w->context, a, layout, cells, scratch);
    row_csv(&w->out, cells, ACCESS_COLUMNS);
}

static void tsv_begin(struct access_writer * w) {
    row_names(&w->out, access_columns, ACCESS_COLUMNS, '\t');
}

static void tsv_record(struct access_writer * w, const struct tat_access * a, struct tat_layout layout) {
    struct cell cells[ACCESS_COLUMNS];
    char scratch[ACCESS_SCRATCH];
    access_cells(&w->context, a, layout, cells, scratch);
    row_tsv(&w->out, cells, ACCESS_COLUMNS);
}

static void jsonl_record(struct access_writer * w, const struct tat_access * a, struct tat_layout layout) {
    struct cell cells[ACCESS_COLUMNS];
    char scratch[ACCESS_SCRATCH];
    access_cells(&w->context, a, layout, cells, scratch);
    row_json(&w->out, access_columns, cells, ACCESS_COLUMNS);
}

const struct access_format access_csv = { "csv", csv_begin, csv_record };
const struct access_format access_tsv = { "tsv", tsv_begin, tsv_record };
const struct access_format access_jsonl = { "jsonl", NULL, jsonl_record };
