/* SPDX-License-Identifier: MIT */
#include "cli/view_traces.h"

#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "analysis/units.h"
#include "cli/plan_machine.h"
#include "cli/run_open.h"
#include "cli/view_sums.h"

static bool show_progress(void * user, uint64_t done, uint64_t total) {
    struct view_traces * t = user;
    t->progress.total = total;
    progress_update(&t->progress, done);
    t->ended = t->is_to_end && t->is_to_end();
    return !t->ended;
}

static bool is_running(const char * path, const struct tat_trace * trace) {
    struct stat status;
    return run_is_alive(trace) || (stat(path, &status) == 0 && S_ISDIR(status.st_mode) && run_is_locked(path));
}

static json_t * make_plan(const char * path, uint64_t memory_bytes, double disk_rate, struct tat_error * error) {
    const struct planning_request request = { .memory_bytes = memory_bytes, .disk_rate = disk_rate };
    return plan_machine_plan(path, request, error);
}

static int add_trace(struct view_traces * t, const char * argument, struct tat_error * error) {
    char path[PATH_MAX], real[PATH_MAX];
    struct tat_trace * trace = run_open(argument, path, error);
    if (!trace) { return -1; }
    const char * name = realpath(path, real) ? last_part(real) : path;
    progress_begin(&t->progress, "summing up", 0);
    const int status = served_add(t->list, trace, path, name, error);
    progress_end(&t->progress);
    return status;
}

int view_traces_open(struct view_traces * t, const char * const * names, size_t count, struct tat_error * error) {
    const struct served_options how = { is_running, show_progress, t, make_plan, view_sums_find, view_sums_keep };
    t->list = served_new(&how);
    if (!t->list) { return tat_fail(error, TAT_ERROR_SYSTEM, "out of memory"); }
    int status = count ? 0 : add_trace(t, NULL, error);
    for (size_t i = 0; i < count && status == 0; i++) { status = add_trace(t, names[i], error); }
    return status;
}
