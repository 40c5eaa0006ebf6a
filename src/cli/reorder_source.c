/* SPDX-License-Identifier: MIT */
#include "cli/reorder_source.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/run_metadata.h"
#include "cli/run_folder.h"
#include "cli/run_open.h"
#include "format/file_names.h"

/* The number that the model has in a trace; 0: it is not in it. */
static uint32_t model_in(const struct tat_trace * trace, const struct tat_gguf * gguf) {
    uint32_t count;
    const struct tat_model_file * files = tat_trace_model_files(trace, &count);
    for (uint32_t i = 0; i < count; i++) {
        if (files[i].model_hash == tat_gguf_hash(gguf) && files[i].model_hash != 0) { return files[i].model; }
    }
    return 0;
}

static void close_trace(struct reorder_source * s) {
    file_order_free(&s->order);
    tat_trace_close(s->part);
    tat_trace_close(s->whole);
    s->trace = s->part = s->whole = NULL;
}

static int use_trace(struct reorder_source * s, const struct tat_gguf * gguf, const char * argument,
                     struct tat_error * error) {
    uint32_t count;
    s->whole = run_open(argument, s->path, error);
    if (!s->whole) { return -1; }
    const uint32_t model = model_in(s->whole, gguf);
    if (!model) {
        return tat_fail(error, TAT_ERROR_INPUT, "%s: is a trace of another model: this one's hash is %016" PRIx64,
                        s->path, tat_gguf_hash(gguf));
    }
    if (tat_trace_main_model(s->whole)) { /* it is one of several */
        s->part = tat_trace_of_model(s->whole, model, error);
        if (!s->part) { return -1; }
    }
    s->trace = s->part ? s->part : s->whole;
    tat_trace_evaluations(s->trace, &count);
    return count ? file_order_by_trace(&s->order, gguf, s->trace, error)
                 : tat_fail(error, TAT_ERROR_NO, "%s: no graph was computed, so it has no order", s->path);
}

/* What stands beside a trace tells its models at once; false only if it tells others. */
static bool may_be_of(const struct run * run, const struct tat_gguf * gguf) {
    char path[PATH_MAX], hash[17];
    uint32_t count;
    size_t i;
    const json_t * file;
    if (!run->has_trace) { return false; }
    if (snprintf(path, sizeof path, "%s/" RUN_METADATA_FILE, run->path) >= PATH_MAX) { return true; }
    snprintf(hash, sizeof hash, "%016" PRIx64, tat_gguf_files(gguf, &count)->header_hash);
    json_t * metadata = run_json_file(path, RUN_METADATA_MOST);
    const json_t * files = json_object_get(metadata, "model_files");
    bool found = !json_is_array(files);
    json_array_foreach(files, i, file) {
        const char * text = json_string_value(json_object_get(file, "header_hash"));
        found |= text && strcmp(text, hash) == 0;
    }
    json_decref(metadata);
    return found;
}

/* The newest one that has an order. */
static bool find_trace(struct reorder_source * s, const struct tat_gguf * gguf) {
    struct run * runs = NULL;
    size_t count = 0;
    bool found = false;
    if (run_list(NULL, &runs, &count, NULL) != 0) { count = 0; }
    for (size_t i = 0; i < count && !found; i++) {
        if (!may_be_of(&runs[i], gguf)) { continue; }
        found = use_trace(s, gguf, runs[i].path, NULL) == 0;
        if (!found) { close_trace(s); }
    }
    free(runs);
    return found;
}

int reorder_source_open(struct reorder_source * s, const struct tat_gguf * gguf, const char * argument, bool by_name,
                        struct tat_error * error) {
    *s = (struct reorder_source){ 0 };
    if (argument) { return use_trace(s, gguf, argument, error); }
    if (!by_name && find_trace(s, gguf)) { return 0; }
    if (file_order_by_name(&s->order, gguf)) { return 0; }
    return tat_fail(error, TAT_ERROR_SYSTEM, "out of memory");
}

void reorder_source_close(struct reorder_source * s) {
    close_trace(s);
}
