/* SPDX-License-Identifier: MIT */
#include "cli/run_open.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/run_folder.h"
#include "tat/run.h"

static bool has_metadata(const char * folder) {
    char file[PATH_MAX + sizeof RUN_METADATA_FILE];
    snprintf(file, sizeof file, "%s/" RUN_METADATA_FILE, folder);
    return access(file, F_OK) == 0;
}

/* No folder of a run counts as locked: there is nothing to write beside it. */
bool run_is_locked(const char * folder) {
    const int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) { return true; }
    const bool locked = flock(fd, LOCK_EX | LOCK_NB) != 0;
    close(fd);
    return locked;
}

bool run_is_alive(const struct tat_trace * trace) {
    return !tat_trace_summary(trace)->ended && (kill((pid_t) tat_trace_header(trace)->pid, 0) == 0 || errno == EPERM);
}

/* `tat record` holds a lock while it has not written the metadata itself. Without it, there is the traced process. */
static bool is_going_on(const char * folder, const struct tat_trace * trace) {
    return run_is_locked(folder) || run_is_alive(trace);
}

struct tat_trace * run_open(const char * argument, char path[static PATH_MAX], struct tat_error * error) {
    struct tat_trace * trace = run_resolve(argument, path, error) == 0 ? tat_trace_open(path, error) : NULL;
    if (trace && !has_metadata(path) && !is_going_on(path, trace)) {
        tat_run_seal(path, NULL, NULL, NULL); /* where it cannot be written, all the rest can still be told */
    }
    return trace;
}
