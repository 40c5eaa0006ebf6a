/* SPDX-License-Identifier: MIT
 *
 * Pages of access records, with the columns of `tat export --format csv`.
 */
#include "analysis/view/records.h"
#include "analysis/result.h"
#include "export/access_cells.h"
#include "serve/endpoint.h"

static json_t * cell_json(const struct cell * cell) {
    switch (cell->kind) {
        case CELL_NUMBER: return json_integer((json_int_t) cell->number);
        case CELL_TEXT: return *cell->text ? result_text(cell->text) : json_null();
        default: return json_null();
    }
}

static json_t * record_json(const struct access_context * context, const struct tat_access * a) {
    struct cell cells[ACCESS_COLUMNS];
    char scratch[ACCESS_SCRATCH];
    json_t * row = json_object();
    access_cells(context, a, tat_trace_layout(context->trace, a->layout), cells, scratch);
    for (int c = 0; c < ACCESS_COLUMNS; c++) { json_object_set_new(row, access_columns[c], cell_json(&cells[c])); }
    return row;
}

static json_t * page_json(const struct tat_trace * trace, const struct records_page * page) {
    const struct access_context context = access_context_of(trace);
    json_t * rows = json_array();
    for (uint32_t i = 0; i < page->count; i++) { json_array_append_new(rows, record_json(&context, &page->rows[i])); }
    return json_pack("{s:i, s:I, s:I, s:I, s:o}", "schema", SERVE_SCHEMA, "total", (json_int_t) page->total,
                     "reachable", (json_int_t) page->reachable, "from", (json_int_t) page->from, "rows", rows);
}

static int read_query(struct records_query * query, const struct request * request, struct tat_error * error) {
    for (size_t i = 0; i < request->n_parameters; i++) {
        const struct parameter * p = &request->parameters[i];
        if (records_query_set(query, p->name, p->value, error) != 0) { return -1; }
    }
    return 0;
}

static struct answer answer_records(struct served * served, const struct request * request) {
    struct records_query query = { 0 };
    struct records_page page;
    struct tat_error error;
    int status = read_query(&query, request, &error);
    if (status == 0) { status = view_records_page(served->records, &query, &page, &error); }
    records_query_free(&query);
    if (status != 0) { return answer_error(&error); }
    json_t * json = page_json(served->trace, &page);
    records_page_free(&page);
    return answer_json(json);
}

const struct endpoint records_endpoints[] = {
    { "records",
      "phase layer component op expert tokens kind context tensor tensor_id lo hi t0 t1 file graph node order from "
      "count near near_token",
      PACE_SLOW, answer_records },
    { 0 },
};
