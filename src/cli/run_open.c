/* SPDX-License-Identifier: MIT */
#include "cli/run_open.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli/agent_reports.h"
#include "cli/run_folder.h"
#include "format/file_names.h"
#include "tat/run.h"

#define NS UINT64_C(1000000000)

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

static uint64_t now_ns(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t) t.tv_sec * NS + (uint64_t) t.tv_nsec;
}

/* When a process began, by CLOCK_BOOTTIME and rounded down; 0 where that is not told. */
static uint64_t process_start_ns(uint32_t pid) {
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%" PRIu32 "/stat", pid);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    const ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    const long ticks = sysconf(_SC_CLK_TCK);
    if (fd >= 0) { close(fd); }
    if (n < 0 || ticks <= 0) { return 0; }
    text[n] = '\0';
    const char * at = strrchr(text, ')'); /* the name before may hold anything */
    unsigned long long start;
    enum { BETWEEN = 19 }; /* fields from the state to the one wanted */
    for (int field = 0; at && field <= BETWEEN; field++) { at = strchr(at + 1, ' '); }
    return at && sscanf(at, "%llu", &start) == 1 ? start * (NS / (uint64_t) ticks) : 0;
}

/* Numbers are given again: a process that began after the trace did not write it. A trace of before the machine was
 * started anew is told by the wall clock, which may have been set meanwhile. */
static bool may_have_written(const struct tat_file_header * h) {
    const uint64_t since_boot = now_ns(CLOCK_BOOTTIME), suspended = since_boot - now_ns(CLOCK_MONOTONIC);
    const uint64_t start = process_start_ns(h->pid), set = 3600 * NS;
    return start == 0 || (start <= h->start_monotonic_ns + suspended &&
                          now_ns(CLOCK_REALTIME) <= h->start_realtime_ns + (since_boot - start) + set);
}

bool run_is_alive(const struct tat_trace * trace) {
    const struct tat_file_header * h = tat_trace_header(trace);
    const pid_t pid = (pid_t) h->pid;
    if (tat_trace_summary(trace)->ended || pid <= 0) {
        return false;
    } /* to kill(), a number that is not above 0 means several processes */
    return (kill(pid, 0) == 0 || errno == EPERM) && may_have_written(h);
}

/* `tat record` holds a lock while it has not written the metadata itself. Without it, there is the traced process. */
static bool is_going_on(const char * folder, const struct tat_trace * trace) {
    return run_is_locked(folder) || run_is_alive(trace);
}

struct tat_trace * run_open(const char * argument, char path[static PATH_MAX], struct tat_error * error) {
    if (run_resolve(argument, path, error) != 0) { return NULL; }
    agent_reports_forget(path);
    struct tat_trace * trace = tat_trace_open(path, error);
    if (trace && !has_metadata(path) && !is_going_on(path, trace)) {
        tat_run_seal(path, NULL, NULL, NULL); /* where it cannot be written, all the rest can still be told */
    }
    return trace;
}
