/* SPDX-License-Identifier: MIT */
#include "export/access_writer.h"

#include <errno.h>

#include "export/perfetto.h"

void access_writer_begin(struct access_writer * w, const struct access_format * format, const struct tat_trace * trace,
                         FILE * out, const char * name) {
    w->format = format;
    w->context = access_context_of(trace);
    w->name = name;
    w->count = 0;
    w->heads = NULL;
    w->layouts = (struct layout_table){ 0 };
    w->perfetto = NULL;
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
    if (w->count && w->format->end) { w->format->end(w); }
    errno = text_out_end(&w->out);
    return errno ? tat_fail_errno(error, "%s: cannot write the access records", w->name) : 0;
}

void access_writer_free(struct access_writer * w) {
    layout_table_free(&w->layouts);
    perfetto_free(w->perfetto);
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

/* ---- perfetto ---- */

/* The first error ends all further writing. */
static void keep_error(struct access_writer * w, int error) {
    if (!w->out.error) { w->out.error = error; }
}

static void begin_perfetto(struct access_writer * w) {
    w->perfetto = perfetto_new(&w->context);
    if (!w->perfetto) { keep_error(w, ENOMEM); }
}

static void perfetto_one(struct access_writer * w, const struct tat_access * a, struct tat_layout layout) {
    if (w->perfetto) { keep_error(w, perfetto_record(w->perfetto, &w->out, a, layout)); }
}

static void end_perfetto(struct access_writer * w) {
    if (w->perfetto) { keep_error(w, perfetto_finish(w->perfetto, &w->out)); }
}

const struct access_format access_csv = { "csv", csv_begin, csv_record, NULL };
const struct access_format access_tsv = { "tsv", tsv_begin, tsv_record, NULL };
const struct access_format access_jsonl = { "jsonl", NULL, jsonl_record, NULL };
const struct access_format access_perfetto = { "perfetto", begin_perfetto, perfetto_one, end_perfetto };
