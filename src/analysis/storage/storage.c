/* SPDX-License-Identifier: MIT
 *
 * Which tensors waited for the disk, what was read of them, and why.
 */
#include "analysis/storage/storage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/machine.h"
#include "analysis/storage/section.h"
#include "analysis/units.h"

struct state {
    const struct subject * subject;
};

static void * begin(const struct subject * subject) {
    struct state * s = calloc(1, sizeof *s);
    if (s) { s->subject = subject; }
    return s;
}

/* ---- what is said ---- */

/* What cannot be known without it. */
static const char * const without[TAT_IO_SOURCE_COUNT] = {
    [TAT_IO_SOURCE_FAULTS] = "which operation waited, and how long",
    [TAT_IO_SOURCE_PAGES] = "which pages were read again, ahead or in vain",
    [TAT_IO_SOURCE_REQUESTS] = "what reached the disk, and in which order",
    [TAT_IO_SOURCE_RESIDENCY] = "what was in memory before the recording",
    [TAT_IO_SOURCE_COUNTERS] = "whether the totals agree with the kernel's",
};
static const char * const source_names[TAT_IO_SOURCE_COUNT] = {
    [TAT_IO_SOURCE_FAULTS] = "Page faults were",
    [TAT_IO_SOURCE_PAGES] = "The page cache was",
    [TAT_IO_SOURCE_REQUESTS] = "Requests to the disk were",
    [TAT_IO_SOURCE_RESIDENCY] = "Samples of what is in memory were",
    [TAT_IO_SOURCE_COUNTERS] = "The kernel's counters were",
};

static void add_missing(const struct joined * j, struct result * r) {
    for (int i = 1; i < TAT_IO_SOURCE_COUNT; i++) {
        const char * why = j->io->missing[i];
        if (!why) { continue; }
        result_note(r, "%s not recorded: %s. So it is not known %s.", source_names[i], why, without[i]);
    }
}

/* Than the disk can be. */
static void add_faster(struct result * r) {
    const double rate = json_number_value(json_object_get(result_values(r), "disk_busy_bytes_per_second"));
    const double best = json_number_value(json_object_get(result_values(r), "disk_best_bytes_per_second"));
    char text[2][UNITS_SIZE];
    if (best <= 0 || rate <= best) { return; }
    result_note(r,
                "The disk gave %s/s, more than the %s/s that `tat doctor --disk` found: a cache below the kernel, such "
                "as the disk's or a host's, had some of the bytes, or others used the disk when it was measured.",
                format_mean_bytes(text[0], rate), format_mean_bytes(text[1], best));
}

/* A file that has a model's path and is not that file. */
static void add_replaced(const struct joined * j, struct result * r) {
    const struct subject * s = j->subject;
    for (size_t f = 0; f < j->io->n_files; f++) {
        for (uint32_t i = 0; !j->bytes.file_of[f] && i < s->n_files; i++) {
            if (j->bytes.same[i + 1] != i + 1 || strcmp(s->files[i].path, j->io->files[f].path) != 0) { continue; }
            result_note(r,
                        "Another file took the path %s while I/O was recorded. It is not the model that this run used, "
                        "so what came into memory of it counts as another file's.",
                        s->files[i].path);
        }
    }
}

static void add_losses(const struct joined * j, struct result * r) {
    const struct tat_io * io = j->io;
    char text[UNITS_SIZE];
    if (io->lost) {
        result_note(r, "%s events of the kernel were lost: there was no room for them. Faults are missing.",
                    format_count(text, io->lost));
    }
    if (io->damaged_bytes) {
        result_note(r, "%s of io_events.bin are damaged. Faults are missing.", format_bytes(text, io->damaged_bytes));
    }
    if (j->cut) {
        result_note(r, "The trace has more events and accesses than a program can cause. Not all were joined.");
    }
    if (io->partial) { result_note(r, "Faults inside system calls were not recorded: that needs root."); }
    if (!io->ended) {
        result_note(r,
                    "io_events.bin has no end: it is still written, or tat was killed. The last faults are missing.");
    }
    result_put_count(r, result_values(r), "lost_events", io->lost);
}

static void say_waits(const struct joined * j, struct result * r) {
    const struct fault_sum all = fault_sum_all(j);
    char count[UNITS_SIZE], major[UNITS_SIZE], time[UNITS_SIZE], recorded[RECORDED_SIZE], none[NO_FAULT_SIZE];
    say_recorded(j, recorded, sizeof recorded);
    if (j->until_ns != INT64_MAX) {
        result_put_count(r, result_values(r), "recorded_until_ns", j->until_ns > 0 ? (uint64_t) j->until_ns : 0);
        result_put_count(r, result_values(r), "recorded_tokens", recorded_tokens(j).recorded);
    }
    if (j->no_waits) {
        result_headline(r,
                        j->io->n_faults ? "No page fault of this process was recorded: %s."
                                        : "Page faults were not recorded: %s.",
                        j->no_waits);
        return;
    }
    result_put_count(r, result_values(r), "major_faults", all.major);
    result_put_count(r, result_values(r), "minor_faults", all.minor);
    result_put_count(r, result_values(r), "stall_ns", all.stall_ns);
    if (!all.major) {
        result_headline(r, "%s", no_major_fault(j, none, sizeof none));
    } else {
        result_headline(r, "Threads spent %s in %s page faults, of which %s waited for the disk.%s",
                        format_duration(time, all.stall_ns), format_count(count, all.major + all.minor),
                        format_count(major, all.major), recorded);
    }
}

/* It comes first: what follows holds for a busy machine. */
static void say_machine(const struct joined * j, struct result * r) {
    const struct machine machine = machine_of(j->subject);
    char share[UNITS_SIZE];
    if (!machine_was_busy(&machine)) { return; }
    result_line(r, "busy",
                "others took %s of the time of the threads that computed: times here can be longer than on an idle "
                "machine, and unexplained time can be theirs",
                format_share(share, machine_lost(&machine)));
}

/* Loading read the model, and no fault of that time is in its file. */
static bool read_without_faults(const struct joined * j, const struct cache * c) {
    uint64_t bytes = 0;
    const bool read =
        c->source ? c->when[TAT_WHEN_LOADING].came > 0 : run_counter(j->io, TAT_IO_RUN_READ_BYTES, &bytes) && bytes > 0;
    if (!read || j->no_waits || j->subject->some_tokens) { return false; }
    for (size_t i = 0; i < j->io->n_faults; i++) {
        if (j->faults[i].file && j->faults[i].when == TAT_WHEN_LOADING) { return false; }
    }
    return true;
}

static void say(const struct joined * j, const struct cache * c, struct result * r) {
    say_waits(j, r);
    say_machine(j, r);
    add_replaced(j, r);
    add_losses(j, r);
    add_missing(j, r);
    waiting_table(j, r);
    if (!j->subject->some_tokens) { reread_tables(j, c, r); }
    if (!j->no_waits) {
        token_stalls(j, r);
        explain(j, r);
    }
    if (!j->subject->some_tokens) {
        reading_tables(j, c, r);
        add_residency(j, c, r);
        add_verdict(j, c, r);
    }
    fault_tables(j, r);
    if (!j->subject->some_tokens) { add_states(j, r); }
    add_faster(r);
    result_note(r, "A major fault waits for the disk, or for another thread that does; a minor one finds the page in "
                   "memory. Only faults of memory that a file is mapped to count here, and all major ones. Time is "
                   "that of threads, without what others ran in their place: two threads in a fault at once count "
                   "twice.");
    result_note(r, "Computing is all the time of operations in which no thread was in a fault. For the others it is "
                   "estimated: for each kind (operation, bytes of weights), the median of the quarter of its "
                   "executions with the least time in faults, without that time. While others ran in place of a "
                   "thread that was in a fault, the time is theirs. What none of the three explains shows as "
                   "unexplained.");
    if (read_without_faults(j, c)) {
        result_note(r, "The model was read while it was loaded, without a fault: the system call that maps a file can "
                       "read all of it (MAP_POPULATE, llama.cpp's default).");
    }
}

static void finish(void * state, struct result * r) {
    struct state * s = state;
    struct tat_error error;
    struct tat_io io;
    struct joined j = { 0 };
    struct cache cache = { 0 };
    int status = io_events_read(&io, s->subject->trace, &error);
    if (status > 0) {
        result_headline(r, "Page faults were not recorded: `tat record --io` does that.");
        result_absent(r);
    }
    const char * mismatch = status == 0 ? tat_storage_mismatch(s->subject->trace, &io) : NULL;
    if (mismatch) {
        result_headline(r, "io_events.bin is of another run, so nothing is known of this one: %s.", mismatch);
        status = 1;
    }
    if (status == 0) { status = join_begin(&j, s->subject, &io, &error); }
    if (status == 0 && !s->subject->some_tokens) { status = cache_find(&cache, &j, NULL, &error); }
    if (status == 0) { say(&j, &cache, r); }
    if (status < 0) { result_headline(r, "The page faults cannot be read: %s.", error.message); }
    cache_free(&cache);
    join_free(&j);
    tat_io_free(&io);
    free(s);
}

const struct analysis storage_analysis = {
    .name = "storage",
    .title = "Waiting for the disk",
    .all_layers = "memory is shared by all of them",
    .begin = begin,
    .finish = finish,
};
