/* SPDX-License-Identifier: MIT
 *
 * What the page needs first: what ran, and the names of all that pictures show by number.
 */
#include <stdlib.h>
#include <string.h>

#include "analysis/analysis.h"
#include "analysis/run_metadata.h"
#include "analysis/storage/storage.h"
#include "export/access_cells.h"
#include "format/io_events.h"
#include "serve/endpoint.h"

enum { PHASES_MOST = 10000, TENSORS_MOST = 20000 };

/* ---- the model ---- */

/* Experts that a layer's router chooses for a token: the rows of ids that MUL_MAT_ID takes. */
static uint64_t experts_used(const struct subject * s) {
    for (uint32_t i = 0; i < s->n_templates; i++) {
        const struct tat_template * t = &s->templates[i];
        const struct tat_entry * nodes = t->entries + t->n_leaves;
        for (uint32_t n = 0; t->known && n < t->n_nodes; n++) {
            const uint32_t ids = nodes[n].src[2];
            if (strcmp(nodes[n].op, "MUL_MAT_ID") == 0 && ids < t->n_leaves + t->n_nodes) {
                return t->entries[ids].ne[0];
            }
        }
    }
    return 0;
}

static json_t * about_model(const struct subject * s) {
    const struct tat_model * model = subject_model(s);
    json_t * sizes = json_array();
    for (uint32_t i = 0; i < s->n_files; i++) {
        json_array_append_new(sizes, json_integer((json_int_t) s->files[i].size));
    }
    return json_pack("{s:o?, s:I, s:o, s:i, s:i, s:I}", "name", result_text(model ? model->name : "unknown"),
                     "file_bytes", (json_int_t) s->model_bytes, "file_sizes", sizes, "layers", (int) layer_span(s),
                     "experts", (int) tat_matrix_columns(s->trace, TAT_BY_EXPERT), "experts_used",
                     (json_int_t) experts_used(s));
}

/* ---- phases ---- */

static json_t * phase_of_run(const struct tat_evaluation * first, uint64_t tokens, uint64_t end_ns) {
    return json_pack("{s:s, s:I, s:I, s:I, s:I}", "phase", tat_phase_name(first->phase), "token_first",
                     (json_int_t) first->token_first, "tokens", (json_int_t) tokens, "start_ns",
                     (json_int_t) first->begin_ns, "duration_ns", (json_int_t) (end_ns - first->begin_ns));
}

/* Evaluations of one phase that follow each other. */
static json_t * about_phases(const struct subject * s) {
    json_t * phases = json_array();
    for (uint32_t i = 0; i < s->n_evaluations && json_array_size(phases) < PHASES_MOST;) {
        const struct tat_evaluation * first = &s->evaluations[i];
        uint64_t tokens = 0, end = first->begin_ns;
        for (; i < s->n_evaluations && s->evaluations[i].phase == first->phase; i++) {
            tokens += s->evaluations[i].n_tokens;
            if (s->evaluations[i].end_ns > end) { end = s->evaluations[i].end_ns; }
        }
        json_array_append_new(phases, phase_of_run(first, tokens, end));
    }
    return phases;
}

static uint64_t duration(const struct subject * s) {
    uint64_t end = 0;
    for (uint32_t i = 0; i < s->n_evaluations; i++) {
        if (s->evaluations[i].end_ns > end) { end = s->evaluations[i].end_ns; }
    }
    return end;
}

static uint64_t tokens(const struct subject * s) {
    uint64_t count = 0;
    for (uint32_t i = 0; i < s->n_evaluations; i++) {
        if (is_inference(s->evaluations[i].phase)) { count += s->evaluations[i].n_tokens; }
    }
    return count;
}

/* ---- names ---- */

static json_t * component_names(void) {
    json_t * names = json_array();
    for (int c = 0; c < TAT_COMPONENT_COUNT; c++) {
        json_array_append_new(names, json_string(tat_component_name((enum tat_component) c)));
    }
    return names;
}

static json_t * op_names(const struct tat_trace * trace) {
    json_t * names = json_array();
    for (uint16_t op = 0; op < tat_trace_n_ops(trace); op++) {
        json_array_append_new(names, result_text(tat_trace_op_name(trace, op)));
    }
    return names;
}

static json_t * about_tensor(const struct tat_tensor * t, uint32_t id) {
    return json_pack("{s:I, s:o?, s:o, s:s, s:I, s:o, s:o, s:s}", "id", (json_int_t) id, "name", result_text(t->name),
                     "layer", number_or_null(t->layer != TAT_NO_LAYER, t->layer), "component",
                     tat_component_name(t->component), "bytes", (json_int_t) t->bytes, "file",
                     number_or_null(t->file != 0, t->file), "file_offset",
                     number_or_null(t->file != 0, t->file_offset), "memory", access_memory_name(t->memory));
}

/* All, unless there are so many that only those of the model and its caches go out. */
static json_t * about_tensors(const struct subject * s) {
    json_t * all = json_array();
    for (uint32_t i = 0; i < s->n_tensors; i++) {
        const struct tat_tensor * t = &s->tensors[i];
        if (s->n_tensors <= TENSORS_MOST || holder_of(t) != HOLDS_ACTIVATION) {
            json_array_append_new(all, about_tensor(t, i));
        }
    }
    return all;
}

/* ---- the run ---- */

/* Whether page faults and requests to the disk were recorded; also while they are. */
static void find_events(const struct tat_trace * trace, bool * faults, bool * requests) {
    struct tat_io io;
    struct tat_error error;
    char * path = io_events_path(trace);
    *faults = *requests = false;
    if (path && io_read_beginning(path, &io, &error) == 0) {
        *faults = io.recorded[TAT_IO_SOURCE_FAULTS] || io.n_faults;
        *requests = io.recorded[TAT_IO_SOURCE_REQUESTS] || io.n_requests;
        tat_io_free(&io);
    }
    free(path);
}

static json_t * about_parts(const json_t * metadata, const struct subject * s, bool has_text) {
    bool faults, requests;
    find_events(s->trace, &faults, &requests);
    return json_pack("{s:b, s:b, s:b, s:b, s:b}", "text", (int) has_text, "faults", (int) faults,
                     "requests", (int) requests, "experts", tat_matrix_columns(s->trace, TAT_BY_EXPERT) > 0, "managed",
                     (int) run_was_managed(metadata));
}

/* As `tat verify` found when the run ended; null: nobody has verified it yet, or not what is there now. */
static json_t * about_verdict(const struct tat_trace * trace, const json_t * metadata) {
    const char * name;
    const json_t * verdict;
    json_t * checks = json_object_get(metadata, "checks");
    json_t * all = json_array();
    bool failed = false;
    if (!json_is_object(checks) || !run_metadata_counts(metadata, trace)) {
        json_decref(all);
        return json_null();
    }
    json_object_foreach(checks, name, verdict) {
        const char * text = json_string_value(verdict);
        failed |= text && strcmp(text, "FAILED") == 0;
        json_array_append_new(all, json_pack("{s:s, s:s}", "check", name, "verdict", text ? text : "not checked"));
    }
    return json_pack("{s:s, s:b, s:o}", "verdict", failed ? "FAILED" : "good", "good", !failed, "checks", all);
}

/* As was counted when the run ended, or all up to now. */
static json_int_t records_of(const struct served * served, const json_t * metadata) {
    const json_t * accesses = json_object_get(json_object_get(metadata, "totals"), "accesses");
    const struct records_query all = { .count = 1 };
    struct records_page page;
    struct tat_error error;
    if (!served->running && accesses && run_metadata_counts(metadata, served->trace)) {
        return json_integer_value(accesses);
    }
    if (view_records_page(served->records, &all, &page, &error) != 0) { return 0; }
    const json_int_t total = (json_int_t) page.total;
    records_page_free(&page);
    return total;
}

static json_t * about(const struct served * served, const struct subject * s) {
    json_t * metadata = run_metadata(s->trace);
    json_t * verdict = about_verdict(s->trace, metadata);
    char why[TOKEN_TEXT_WHY];
    const bool has_text = view_has_text(s, served->vocabularies, why);
    json_t * all =
        json_pack("{s:i, s:I, s:o?, s:b, s:o, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o}", "schema",
                  SERVE_SCHEMA, "revision", (json_int_t) served->revision, "name", result_text(served->name), "running",
                  (int) served->running, "model", about_model(s), "tokens", (json_int_t) tokens(s), "evaluations",
                  (json_int_t) s->n_evaluations, "records", records_of(served, metadata), "duration_ns",
                  (json_int_t) duration(s), "phases", about_phases(s), "components", component_names(), "ops",
                  op_names(s->trace), "tensors", about_tensors(s), "has", about_parts(metadata, s, has_text),
                  "verdict", verdict);
    json_object_set_new(all, "no_text", has_text ? json_null() : result_text(why));
    json_decref(metadata);
    return all;
}

static struct answer answer_about(struct served * served, const struct request * request) {
    (void) request;
    return answer_json(about(served, &served->subject));
}

const struct endpoint about_endpoints[] = {
    { "about", "", PACE_QUICK, answer_about },
    { 0 },
};
