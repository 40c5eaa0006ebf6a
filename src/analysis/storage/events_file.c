/* SPDX-License-Identifier: MIT
 *
 * Where a run's I/O events are.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "analysis/storage/storage.h"
#include "format/file_names.h"

/* A folder's name without the "_NUMBER" at its end, if it has one. Returns the length. */
static int without_number(const char * folder, int length) {
    int at = length;
    while (at > 0 && folder[at - 1] >= '0' && folder[at - 1] <= '9') { at--; }
    return at > 0 && at < length && folder[at - 1] == '_' ? at - 1 : length;
}

/* Beside the trace, or beside that of the run's first process: further ones have "_PID" or "_PID_N" appended. */
char * io_events_path(const struct tat_trace * of) {
    const char * trace = tat_trace_path(of);
    const char * slash = strrchr(trace, '/');
    int length = slash ? (int) (slash - trace) : 0;
    for (int numbers = 0; numbers <= 2; numbers++, length = without_number(trace, length)) {
        char * path;
        if (asprintf(&path, "%.*s%s" IO_EVENTS_FILE, length, trace, slash ? "/" : "") < 0) { return NULL; }
        if (access(path, F_OK) == 0) { return path; }
        free(path);
    }
    return NULL;
}

int io_events_read(struct tat_io * io, const struct tat_trace * trace, struct tat_error * error) {
    char * path = io_events_path(trace);
    *io = (struct tat_io){ 0 };
    if (!path) { return 1; }
    const int status = tat_io_read(path, io, error);
    free(path);
    return status;
}

int tat_storage_read(const struct tat_trace * trace, struct tat_io * io, struct tat_error * error) {
    const int status = io_events_read(io, trace, error);
    if (status <= 0) { return status; }
    return tat_fail(error, TAT_ERROR_NO, "%s: I/O events were not recorded: `tat record --io` does that",
                    tat_trace_path(trace));
}
