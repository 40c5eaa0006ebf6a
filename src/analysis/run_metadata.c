/* SPDX-License-Identifier: MIT */
#include "analysis/run_metadata.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "analysis/command_options.h"
#include "format/file_names.h"

/* NULL: there is no regular file. Opening a FIFO must not wait for a writer. */
static FILE * open_regular(const char * path) {
    struct stat status;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    FILE * in = fd >= 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode) ? fdopen(fd, "r") : NULL;
    if (!in && fd >= 0) { close(fd); }
    return in;
}

json_t * run_json_file(const char * path, size_t most) {
    FILE * in = open_regular(path);
    char * text = in ? malloc(most) : NULL;
    const size_t size = text ? fread(text, 1, most, in) : 0;
    if (in) { fclose(in); }
    json_t * json = size && size < most ? json_loadb(text, size, 0, NULL) : NULL;
    free(text);
    return json;
}

json_t * run_json(const struct tat_trace * trace, const char * name, size_t most) {
    const char * path = tat_trace_path(trace);
    const char * slash = strrchr(path, '/');
    char * file = NULL;
    if (asprintf(&file, "%.*s%s", slash ? (int) (slash + 1 - path) : 0, path, name) < 0) { return NULL; }
    json_t * json = run_json_file(file, most);
    free(file);
    return json;
}

/* Files are copied between folders. */
static bool is_of(const json_t * metadata, const struct tat_trace * trace) {
    const char * said = json_string_value(json_object_get(metadata, "run_id"));
    char own[RUN_ID_TEXT];
    return !said || strcmp(said, run_id_text(own, tat_trace_header(trace))) == 0;
}

json_t * run_metadata(const struct tat_trace * trace) {
    json_t * metadata = run_json(trace, RUN_METADATA_FILE, RUN_METADATA_MOST);
    if (metadata && is_of(metadata, trace)) { return metadata; }
    json_decref(metadata);
    return NULL;
}

const char * run_id_text(char text[static RUN_ID_TEXT], const struct tat_file_header * header) {
    for (int i = 0; i < 16; i++) { snprintf(text + 2 * i, 3, "%02x", header->run_id[i]); }
    return text;
}

static json_int_t number_in(const json_t * metadata, const char * object, const char * name) {
    return json_integer_value(json_object_get(json_object_get(metadata, object), name));
}

bool run_metadata_counts(const json_t * metadata, const struct tat_trace * trace) {
    const struct tat_trace_summary * s = tat_trace_summary(trace);
    uint32_t evaluations;
    tat_trace_evaluations(trace, &evaluations);
    return number_in(metadata, "totals", "trace_bytes") == (json_int_t) s->used_bytes &&
           number_in(metadata, "totals", "evaluations") == (json_int_t) evaluations &&
           number_in(metadata, "losses", "damaged_bytes") == (json_int_t) s->damaged_bytes;
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
