/* SPDX-License-Identifier: MIT */
#include "analysis/run_metadata.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { METADATA_MAX = 1 << 20 }; /* it is a few KiB */

json_t * run_metadata(const struct tat_trace * trace) {
    const char * path = tat_trace_path(trace);
    const char * slash = strrchr(path, '/');
    char * file = NULL;
    if (asprintf(&file, "%.*strace_metadata.json", slash ? (int) (slash + 1 - path) : 0, path) < 0) { return NULL; }
    FILE * in = fopen(file, "re");
    free(file);
    char * text = in ? malloc(METADATA_MAX) : NULL;
    size_t size = text ? fread(text, 1, METADATA_MAX, in) : 0;
    if (in) { fclose(in); }
    json_t * metadata = size && size < METADATA_MAX ? json_loadb(text, size, 0, NULL) : NULL;
    free(text);
    return metadata;
}

int64_t run_asked_tokens(const json_t * metadata) {
    static const char * const options[] = { "-n", "--predict", "--n-predict" };
    const json_t * command = json_object_get(metadata, "command");
    for (size_t i = 0; i + 1 < json_array_size(command); i++) {
        const char * option = json_string_value(json_array_get(command, i));
        const char * value = json_string_value(json_array_get(command, i + 1));
        for (size_t o = 0; option && value && o < sizeof options / sizeof options[0]; o++) {
            if (strcmp(option, options[o]) == 0) { return strtoll(value, NULL, 10); }
        }
    }
    return -1;
}
