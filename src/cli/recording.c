/* SPDX-License-Identifier: MIT */
#include "cli/recording.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/agent_reports.h"
#include "cli/run_folder.h"
#include "cli/run_open.h"
#include "cli/units.h"
#include "format/file_names.h"

/* ---- before the run ---- */

/* A trace in a folder of the user's choice, unless nobody is to know of it, or another tat removes it in a moment. */
static bool may_be_remembered(const char * wanted) {
    const char * is_private = getenv("TAT_PRIVATE");
    return wanted && !getenv("TAT_TEMPORARY") && (!is_private || !*is_private || strcmp(is_private, "0") == 0);
}

static void check_space(const struct recording * r, uint64_t max_size) {
    enum { SOME = 256 << 20 };
    struct statvfs disk;
    char size[UNITS_SIZE];
    if (statvfs(r->folder, &disk) != 0) { return; }
    const uint64_t is_free = (uint64_t) disk.f_bavail * disk.f_frsize;
    if (is_free >= (max_size ? max_size : SOME)) { return; }
    fprintf(stderr, "tat %s: warning: %s has only %s free: the trace may end early\n", r->command, r->folder,
            format_bytes(size, is_free));
}

int recording_begin(struct recording * r, const char * command, const char * wanted, uint64_t max_size,
                    struct tat_error * error) {
    char size[UNITS_SIZE];
    *r = (struct recording){ .command = command, .lock = -1, .reports = -1 };
    if (run_create(wanted, r->folder, error) != 0) { return -1; }
    if (getenv("TAT_RUN_DIR")) { agent_reports_tell(getenv("TAT_RUN_DIR"), r->folder); }
    r->lock = open(r->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* `tat rm` leaves it alone meanwhile */
    if (r->lock >= 0) { flock(r->lock, LOCK_SH); }
    r->is_remembered = may_be_remembered(wanted);
    if (r->is_remembered) { run_remember(r->folder); }
    check_space(r, max_size);
    r->reports = agent_reports_open(r->folder);
    clock_gettime(CLOCK_REALTIME_COARSE, &r->began);
    snprintf(size, sizeof size, "%llu", (unsigned long long) max_size);
    if (setenv("TAT_RUN_DIR", r->folder, 1) == 0 && (!max_size || setenv("TAT_MAX_SIZE", size, 1) == 0)) { return 0; }
    tat_fail_errno(error, "cannot set the environment");
    recording_cancel(r);
    return -1;
}

/* ---- after the run ---- */

/* "2 warm-up, 5 prompt, 99 generated tokens" */
static void say_tokens(const uint64_t tokens[TAT_PHASE_COUNT]) {
    static const char * const names[] = { "warm-up", "prompt", "generated", "mixed", "other", "verified", "unclear" };
    static_assert(sizeof names / sizeof names[0] == TAT_PHASE_COUNT, "each has a name");
    const char * comma = "";
    char count[UNITS_SIZE];
    for (int phase = 0; phase < TAT_PHASE_COUNT; phase++) {
        if (!tokens[phase]) { continue; }
        fprintf(stderr, "%s%s %s", comma, format_count(count, tokens[phase]), names[phase]);
        comma = ", ";
    }
    fputs(*comma ? " tokens" : "no tokens", stderr);
}

/* Two digits: it is an estimate, and of slow runs too small to tell. */
static const char * format_overhead(char text[static UNITS_SIZE], double share) {
    if (share > 0 && share < 1e-4) {
        snprintf(text, UNITS_SIZE, "below 0.01 %%");
    } else {
        snprintf(text, UNITS_SIZE, "about %.2g %%", 100 * share);
    }
    return text;
}

static void say_totals(const char * folder, const struct tat_run_totals * t) {
    char graphs[UNITS_SIZE], accesses[UNITS_SIZE], bytes[UNITS_SIZE], time[UNITS_SIZE], lost[UNITS_SIZE],
        size[UNITS_SIZE], overhead[UNITS_SIZE];
    fputs("tat: ", stderr);
    say_tokens(t->tokens);
    fprintf(stderr, "; %s graphs in %s, %s accesses to %s, %s lost, overhead %s; %s in %s",
            format_count(graphs, t->evaluations), format_duration(time, t->graph_ns),
            format_count(accesses, t->accesses), format_bytes(bytes, t->bytes), format_count(lost, t->lost),
            format_overhead(overhead, t->overhead), format_bytes(size, t->file_bytes), folder);
    if (t->checks_failed) {
        fprintf(stderr, "; %u check%s FAILED, see `tat verify`", t->checks_failed, t->checks_failed == 1 ? "" : "s");
    }
    fputc('\n', stderr);
    if (*t->caveats) { fprintf(stderr, "tat: %s\n", t->caveats); }
    if (*t->failure) { fprintf(stderr, "tat: %s\n", t->failure); }
}

static bool is_still_written(const char * folder) {
    struct tat_error error;
    struct tat_trace * trace = tat_trace_open(folder, &error);
    const bool is_alive = trace && run_is_alive(trace);
    tat_trace_close(trace);
    return is_alive;
}

/* Without a trace, page faults tell nothing. */
static void remove_folder(const char * folder) {
    char file[PATH_MAX + 32];
    snprintf(file, sizeof file, "%s/" IO_EVENTS_FILE, folder);
    unlink(file);
    rmdir(folder);
}

static void finish_process(const char * folder, void * state) {
    struct recording * r = state;
    struct tat_run_totals totals;
    struct tat_error error;
    char file[PATH_MAX + 32];
    snprintf(file, sizeof file, "%s/" TRACE_FILE, folder);
    if (access(file, F_OK) != 0) {
        if (!r->left) { remove_folder(folder); }
        return;
    }
    r->traces++;
    if (r->is_remembered) { run_remember(folder); } /* those of further processes too */
    if (r->left && is_still_written(folder)) { return; }
    if (tat_run_seal(folder, r->info, &totals, &error) != 0) {
        fprintf(stderr, "tat %s: %s\n", r->command, error.message);
        return;
    }
    say_totals(folder, &totals);
    if (totals.evaluations == 0 && WIFSIGNALED(r->wait_status)) {
        fprintf(stderr, "tat %s: the program was killed by signal %d (%s) in its first graph, which is lost\n",
                r->command, WTERMSIG(r->wait_status), strsignal(WTERMSIG(r->wait_status)));
    }
}

void recording_say_reports(struct recording * r) {
    r->failures = agent_reports_print(r->reports, r->command, r->folder);
    agent_reports_close(r->reports, r->folder);
    r->reports = -1;
}

void recording_finish(struct recording * r, const struct tat_run_info * info, int wait_status, bool left) {
    r->info = info;
    r->wait_status = wait_status;
    r->left = left;
    r->is_gone = access(r->folder, F_OK) != 0;
    run_each_process(r->folder, &r->began, finish_process, r);
}

void recording_cancel(struct recording * r) {
    agent_reports_close(r->reports, r->folder);
    r->reports = -1;
    remove_folder(r->folder);
    recording_end(r);
}

void recording_end(struct recording * r) {
    if (r->lock >= 0) { close(r->lock); }
    r->lock = -1;
}
