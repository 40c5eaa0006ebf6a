/* SPDX-License-Identifier: MIT */
#include "analysis/run_metadata.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/command_line.h"

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

/* Reads a number with nothing after it. */
static bool read_number(const char * text, int64_t * value) {
    char * end;
    *value = strtoll(text, &end, 10);
    return end != text && !*end;
}

/* The value of the option at i, if that is -n; NULL otherwise. */
static const char * asked_by(const json_t * command, size_t i) {
    static const char * const options[] = { "-n", "--predict", "--n-predict" };
    const char * argument = command_argument(command, i);
    for (size_t o = 0; o < sizeof options / sizeof options[0]; o++) {
        const size_t length = strlen(options[o]);
        if (strncmp(argument, options[o], length) != 0) { continue; }
        if (argument[length] == '=') { return argument + length + 1; }
        if (!argument[length]) { return command_argument(command, i + 1); }
    }
    return NULL;
}

int64_t run_asked_tokens(const json_t * metadata) {
    const json_t * command = json_object_get(metadata, "command");
    const int program = command_program(metadata);
    int64_t asked = -1; /* the last -n counts */
    for (size_t i = (size_t) program + 1; program >= 0 && i < json_array_size(command); i++) {
        const char * value = asked_by(command, i);
        int64_t number;
        if (value && read_number(value, &number)) { asked = number; }
        i += command_takes_value(command, i);
    }
    return asked;
}
