/* SPDX-License-Identifier: MIT */
#include "analysis/run_metadata.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/command_options.h"

enum { METADATA_MAX = 1 << 20 }; /* it is a few KiB */

json_t * run_json(const struct tat_trace * trace, const char * name, size_t most) {
    const char * path = tat_trace_path(trace);
    const char * slash = strrchr(path, '/');
    char * file = NULL;
    if (asprintf(&file, "%.*s%s", slash ? (int) (slash + 1 - path) : 0, path, name) < 0) { return NULL; }
    FILE * in = fopen(file, "re");
    free(file);
    char * text = in ? malloc(most) : NULL;
    const size_t size = text ? fread(text, 1, most, in) : 0;
    if (in) { fclose(in); }
    json_t * json = size && size < most ? json_loadb(text, size, 0, NULL) : NULL;
    free(text);
    return json;
}

json_t * run_metadata(const struct tat_trace * trace) {
    return run_json(trace, "trace_metadata.json", METADATA_MAX);
}

static json_int_t number_in(const json_t * metadata, const char * object, const char * name) {
    return json_integer_value(json_object_get(json_object_get(metadata, object), name));
}

uint64_t run_memory(const json_t * metadata, bool * is_limited) {
    const json_int_t limit = number_in(metadata, "pressure", "memory_limit");
    const json_int_t host = number_in(metadata, "host", "memory_bytes");
    *is_limited = limit > 0;
    return limit > 0 ? (uint64_t) limit : host > 0 ? (uint64_t) host : 0;
}

bool run_was_managed(const json_t * metadata) {
    return json_is_true(json_object_get(metadata, "managed"));
}

int64_t run_asked_tokens(const json_t * metadata) {
    json_t * options = command_options(metadata);
    const json_t * asked = json_object_get(options, "n_predict");
    if (!asked) { asked = json_object_get(options, "n_gen"); }
    const int64_t number = json_is_integer(asked) ? json_integer_value(asked) : -1;
    json_decref(options);
    return number;
}
