/* SPDX-License-Identifier: MIT
 *
 * What files in the folder of a run are called: those that are written while its program runs, and what is said of it.
 */
#ifndef TAT_FORMAT_FILE_NAMES_H
#define TAT_FORMAT_FILE_NAMES_H

#include <stdbool.h>
#include <string.h>

#define TRACE_FILE        "tensor_access.bin"
#define IO_EVENTS_FILE    "io_events.bin"
#define RUN_METADATA_FILE "trace_metadata.json"

/* Whether a path ends in the name of one that is written while a program runs. */
static inline bool is_named_as_ours(const char * path) {
    const char * slash = strrchr(path, '/');
    const char * name = slash ? slash + 1 : path;
    return strcmp(name, TRACE_FILE) == 0 || strcmp(name, IO_EVENTS_FILE) == 0;
}

#endif
