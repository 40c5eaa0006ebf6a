/* SPDX-License-Identifier: MIT
 *
 * What the files that are written while a program runs are called, in the folder of its run.
 */
#ifndef TAT_FORMAT_FILE_NAMES_H
#define TAT_FORMAT_FILE_NAMES_H

#include <stdbool.h>
#include <string.h>

#define TRACE_FILE     "tensor_access.bin"
#define IO_EVENTS_FILE "io_events.bin"

/* Whether a path ends in one of these names. */
static inline bool is_named_as_ours(const char * path) {
    const char * slash = strrchr(path, '/');
    const char * name = slash ? slash + 1 : path;
    return strcmp(name, TRACE_FILE) == 0 || strcmp(name, IO_EVENTS_FILE) == 0;
}

#endif
