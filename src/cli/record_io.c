/* SPDX-License-Identifier: MIT */
#include "cli/record_io.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/model_arguments.h"
#include "cli/units.h"
#include "io/io_recorder.h"

static bool is_private(void) {
    const char * value = getenv("TAT_PRIVATE");
    return value && *value && strcmp(value, "0") != 0;
}

struct io_recorder * record_io_start(pid_t pid, const char * folder, uint64_t bytes_most, char ** command) {
    struct tat_error error;
    struct model_arguments models = { 0 };
    model_arguments_find(command, &models);
    const struct io_options options = { .pid = pid,
                                        .folder = folder,
                                        .bytes_most = bytes_most ? bytes_most : UINT64_MAX,
                                        .is_private = is_private(),
                                        .files = models.files,
                                        .n_files = models.count };
    struct io_recorder * recorder = io_recorder_start(&options, &error);
    if (!recorder) { fprintf(stderr, "tat record: warning: no I/O events: %s\n", error.message); }
    model_arguments_free(&models);
    return recorder;
}

static void say_faults(const struct io_totals * t) {
    char major[UNITS_SIZE], minor[UNITS_SIZE], time[UNITS_SIZE], lost[UNITS_SIZE];
    if (*t->no_faults) {
        fprintf(stderr, "tat: page faults were not recorded: %s\n", t->no_faults);
        return;
    }
    fprintf(stderr, "tat: %s major page faults, in which threads spent %s, and %s minor ones in files; %s lost\n",
            format_count(major, t->major), format_duration(time, t->major_ns), format_count(minor, t->minor),
            format_count(lost, t->lost + t->unwritten));
    if (t->user_only) { fprintf(stderr, "tat: faults inside system calls were not recorded: that needs root\n"); }
}

static void say_system(const struct io_totals * t) {
    char requests[UNITS_SIZE], bytes[UNITS_SIZE];
    if (*t->no_pages && strcmp(t->no_pages, t->no_requests) == 0) {
        fprintf(stderr, "tat: page cache and disk were not recorded, only sampled: %s\n", t->no_pages);
        return;
    }
    if (*t->no_pages) { fprintf(stderr, "tat: the page cache was not recorded, only sampled: %s\n", t->no_pages); }
    if (*t->no_requests) { fprintf(stderr, "tat: the disk was not recorded, only sampled: %s\n", t->no_requests); }
    if (!*t->no_pages) {
        const uint64_t page_bytes = (uint64_t) sysconf(_SC_PAGESIZE);
        fprintf(stderr, "tat: %s of the run's files came into memory\n",
                format_bytes(bytes, t->filled_pages * page_bytes));
    }
    if (!*t->no_requests && !t->on_disk) {
        fprintf(
            stderr,
            "tat: which requests to disks were for the model is not known: `tat report --section storage` says why\n");
    } else if (!*t->no_requests) {
        fprintf(stderr, "tat: %s requests read %s from the model's disk, for this run and for all other programs\n",
                format_count(requests, t->requests), format_bytes(bytes, t->request_bytes));
    }
}

void record_io_stop(struct io_recorder * recorder) {
    struct io_totals t;
    if (!recorder) { return; }
    io_recorder_stop(recorder, &t);
    say_faults(&t);
    say_system(&t);
}
