/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stdlib.h>

#include "analysis/storage/cache.h"

static const char * const place_names[TAT_PLACES] = {
    [TAT_PLACE_OPERATION] = "an operation",
    [TAT_PLACE_AHEAD] = "read ahead for an operation",
    [TAT_PLACE_OUTSIDE] = "a weight, outside graphs",
    [TAT_PLACE_UNWANTED] = "a weight that no operation read then",
    [TAT_PLACE_LOADED] = "a weight that is copied out of the file",
    [TAT_PLACE_HEADER] = "the model file, before its weights",
    [TAT_PLACE_IN_VAIN] = "a weight, in vain",
    [TAT_PLACE_UNKNOWN] = "a weight, unknown for what",
    [TAT_PLACE_NO_WEIGHT] = "the model file, outside its weights",
    [TAT_PLACE_OTHER_FILE] = "another file",
    [TAT_PLACE_NO_FILE] = "memory that is no file's, or code",
    [TAT_PLACE_OTHER_PROCESS] = "another process",
    [TAT_PLACE_ELSEWHERE] = "the model's disk, in no file of this run",
    [TAT_PLACE_OTHER_DISK] = "another disk",
    [TAT_PLACE_METADATA] = "metadata of the file system",
    [TAT_PLACE_WRITE] = "a write",
    [TAT_PLACE_FAILED] = "a request that failed",
};

const char * tat_place_name(enum tat_place place) {
    return (unsigned) place < TAT_PLACES ? place_names[place] : "unknown";
}

const char * tat_when_name(enum tat_when when) {
    return when == TAT_WHEN_LOADING   ? "loading"
           : when == TAT_WHEN_BETWEEN ? "no graph is computed"
                                      : tat_phase_name((enum tat_phase) when);
}

/* ---- one event ---- */

enum { OVERLAPPING = 64 }; /* graphs of so many contexts at once are looked at */

/* The evaluation that was computed at that time, the last to begin of several; or TAT_NO_NUMBER. */
static uint32_t evaluation_at(const struct subject * s, int64_t ns) {
    uint32_t low = 0, high = s->n_evaluations;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if ((int64_t) s->evaluations[middle].begin_ns <= ns) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    for (uint32_t i = 0; i < OVERLAPPING && i < low; i++) {
        if ((int64_t) s->evaluations[low - 1 - i].end_ns >= ns) { return low - 1 - i; }
    }
    return TAT_NO_NUMBER;
}

struct tat_placed placed_at(const struct joined * j, uint64_t end_ns, uint64_t duration_ns) {
    const struct subject * s = j->subject;
    const int64_t end = (int64_t) (end_ns - j->start_ns), begin = (int64_t) (end_ns - duration_ns - j->start_ns);
    const uint32_t e = evaluation_at(s, end);
    return (struct tat_placed){ .begin_ns = begin,
                                .end_ns = end,
                                .tensor = TAT_NO_NUMBER,
                                .evaluation = TAT_NO_NUMBER,
                                .node = TAT_NO_NUMBER,
                                .token = TAT_NO_NUMBER,
                                .layer = TAT_NO_LAYER,
                                .expert = TAT_NO_EXPERT,
                                .when = e != TAT_NO_NUMBER ? (uint8_t) s->evaluations[e].phase
                                        : s->n_evaluations && end < (int64_t) s->evaluations[0].begin_ns
                                            ? TAT_WHEN_LOADING
                                            : TAT_WHEN_BETWEEN };
}

void placed_in(const struct joined * j, struct tat_placed * p, const struct stretch * s) {
    p->tensor = s->tensor;
    p->expert = s->expert;
    if (s->tensor != TAT_NO_NUMBER) {
        p->layer = j->subject->tensors[s->tensor].layer;
        p->place = TAT_PLACE_OUTSIDE;
    } else {
        const uint64_t begins = j->bytes.begins[p->file];
        p->place = begins != UINT64_MAX && p->offset < begins ? TAT_PLACE_HEADER : TAT_PLACE_NO_WEIGHT;
    }
}

/* ---- of which run ---- */

/* Both headers are written when a program begins to run. They agree in when the machine was started, but for what it
 * slept in between and how its clock was set. */
#define START_APART_NS (600 * (int64_t) 1000000000)

/* CLOCK_REALTIME when CLOCK_MONOTONIC was 0; it may wrap, and differences are right all the same. */
static uint64_t machine_start(const struct tat_file_header * h) {
    return h->start_realtime_ns - h->start_monotonic_ns;
}

const char * tat_storage_mismatch(const struct tat_trace * trace, const struct tat_io * io) {
    const struct tat_file_header *t = tat_trace_header(trace), *h = &io->header;
    const int64_t apart = (int64_t) (machine_start(t) - machine_start(h));
    if (apart > START_APART_NS || apart < -START_APART_NS) {
        return "the machine was started at another time, or it is another machine";
    }
    if (t->start_monotonic_ns < h->start_monotonic_ns) { return "the trace began before it"; }
    const bool whole = io->ended && !io->lost; /* else the end of this run's events may be missing */
    const bool any = io->n_faults || io->n_pages || io->n_requests || io->n_residency || io->n_counters;
    const uint64_t counted = io->n_counters ? io->counters[io->n_counters - 1].ns : 0, last = last_io_event(io);
    if (!whole || !any) { return NULL; }
    return counted < t->start_monotonic_ns && last < t->start_monotonic_ns ? "it ended before the trace began" : NULL;
}

/* ---- all ---- */

static const char * why_no_waits(const struct joined * j) {
    const struct tat_io * io = j->io;
    bool recorded = !j->subject->some_tokens;
    for (uint32_t i = 0; i < j->subject->n_evaluations && !recorded; i++) {
        recorded = is_recorded(j, &j->subject->evaluations[i]);
    }
    if (!recorded) { return "the recording of I/O ended before these tokens did"; }
    if (!io->n_faults) { return io->missing[TAT_IO_SOURCE_FAULTS]; }
    for (size_t i = 0; i < io->n_faults; i++) {
        if (j->faults[i].place != TAT_PLACE_OTHER_PROCESS) { return NULL; }
    }
    return "all that were recorded are of other processes. The program ran in a process namespace of its own, or "
           "io_events.bin is of another run";
}

int join_faults(struct joined * j, const struct subject * subject, const struct tat_io * io, struct tat_error * error) {
    *j = (struct joined){ .subject = subject,
                          .io = io,
                          .start_ns = tat_trace_header(subject->trace)->start_monotonic_ns };
    if (!model_bytes_find(&j->bytes, subject, io)) { return tat_fail(error, TAT_ERROR_SYSTEM, "out of memory"); }
    if (place_faults(j, error) != 0) { return -1; }
    j->until_ns = recorded_until(subject, io, j->start_ns);
    j->no_waits = why_no_waits(j);
    return 0;
}

int join_begin(struct joined * j, const struct subject * subject, const struct tat_io * io, struct tat_error * error) {
    if (join_faults(j, subject, io, error) != 0) { return -1; }
    return place_requests(j) ? 0 : tat_fail(error, TAT_ERROR_SYSTEM, "out of memory");
}

void join_free(struct joined * j) {
    model_bytes_free(&j->bytes);
    free(j->faults);
    free(j->requests);
    free(j->read_of);
}

static int by_event(const void * a, const void * b) {
    const struct tat_placed *x = a, *y = b;
    if (x->event != y->event) { return x->event < y->event ? -1 : 1; }
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* Neighbours of one event that had the same fate become one. */
static size_t merge_pages(struct tat_placed * pages, size_t count) {
    size_t n = 0;
    if (count) { qsort(pages, count, sizeof *pages, by_event); }
    for (size_t i = 0; i < count; i++) {
        struct tat_placed * last = n ? &pages[n - 1] : NULL;
        const struct tat_placed * p = &pages[i];
        if (last && last->event == p->event && last->file == p->file && last->offset + last->bytes == p->offset &&
            last->tensor == p->tensor && last->expert == p->expert && last->place == p->place &&
            last->evaluation == p->evaluation && last->node == p->node && last->end_ns == p->end_ns) {
            last->bytes += p->bytes;
            last->in_vain += p->in_vain;
        } else {
            pages[n++] = *p;
        }
    }
    return n;
}

int tat_storage_join(const struct tat_trace * trace, const struct tat_io * io, bool pages, struct tat_storage * storage,
                     struct tat_error * error) {
    struct subject subject;
    struct joined j = { 0 };
    struct cache cache = { 0 };
    struct list list = { 0 };
    *storage = (struct tat_storage){ 0 };
    int status = subject_begin(&subject, trace, NULL) ? join_begin(&j, &subject, io, error)
                                                      : tat_fail(error, TAT_ERROR_SYSTEM, "out of memory");
    if (status == 0) { status = cache_find(&cache, &j, pages ? &list : NULL, error); }
    if (status == 0) {
        *storage = (struct tat_storage){ .faults = j.faults,
                                         .n_faults = io->n_faults,
                                         .requests = j.requests,
                                         .n_requests = j.n_requests,
                                         .pages = list.data,
                                         .n_pages = merge_pages(list.data, list.count),
                                         .cut = j.cut };
        j.faults = j.requests = NULL;
        list.data = NULL;
    }
    free(list.data);
    cache_free(&cache);
    join_free(&j);
    subject_free(&subject);
    return status;
}

void tat_storage_free(struct tat_storage * storage) {
    free(storage->faults);
    free(storage->requests);
    free(storage->pages);
    *storage = (struct tat_storage){ 0 };
}
