/* SPDX-License-Identifier: MIT
 *
 * How much was read of the model's files, from the source that says most.
 */
#include <stdlib.h>

#include "analysis/machine.h"
#include "analysis/storage/section.h"

static int by_place(const void * a, const void * b) {
    const struct tat_placed *x = *(const struct tat_placed *const *) a, *y = *(const struct tat_placed *const *) b;
    if (x->file != y->file) { return x->file < y->file ? -1 : 1; }
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* Distinct bytes that requests read. No memory: 0. */
static uint64_t union_of(const struct joined * j) {
    const struct tat_placed ** order = malloc((j->n_requests + 1) * sizeof *order);
    uint64_t bytes = 0, to = 0;
    size_t n = 0;
    for (size_t i = 0; order && i < j->n_requests; i++) {
        if (j->requests[i].file) { order[n++] = &j->requests[i]; }
    }
    if (n) { qsort(order, n, sizeof *order, by_place); }
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || order[i]->file != order[i - 1]->file) { to = 0; }
        const uint64_t from = order[i]->offset > to ? order[i]->offset : to;
        const uint64_t end = order[i]->offset + order[i]->bytes;
        if (end <= from) { continue; }
        bytes += end - from;
        to = end;
    }
    free(order);
    return bytes;
}

/* Requests tell of the model's files only where it is known which bytes of the disk those are. */
static bool has_requests(const struct joined * j) {
    const struct tat_io * io = j->io;
    bool extents = false;
    for (size_t f = 0; f < io->n_files; f++) { extents |= j->bytes.file_of[f] && io->files[f].n_extents; }
    return extents && (io->recorded[TAT_IO_SOURCE_REQUESTS] || io->n_requests);
}

bool counter_growth(const struct tat_io * io, enum tat_io_counter counter, uint64_t * growth) {
    const struct tat_io_counter_value *first = NULL, *last = NULL;
    for (size_t i = 0; i < io->n_counters; i++) {
        if (io->counters[i].counter != counter) { continue; }
        if (!first) { first = &io->counters[i]; }
        last = &io->counters[i];
    }
    if (!first || last->value < first->value) { return false; }
    *growth = last->value - first->value;
    return true;
}

bool process_growth(const struct joined * j, enum tat_io_counter counter, uint64_t * growth) {
    const uint32_t traced = tat_trace_header(j->subject->trace)->pid, started = j->io->header.pid;
    return (traced == started || !started) && counter_growth(j->io, counter, growth);
}

bool run_counter(const struct tat_io * io, enum tat_io_counter counter, uint64_t * value) {
    bool known = false;
    for (size_t i = 0; i < io->n_counters; i++) {
        if (io->counters[i].counter != counter) { continue; }
        *value = io->counters[i].value;
        known = true;
    }
    return known;
}

struct reading reading_of(const struct joined * j, const struct cache * c) {
    struct reading x = { .wanted = c->copied };
    const struct machine m = machine_of(j->subject);
    const bool whole = j->until_ns == INT64_MAX; /* so that it can be compared with what was wanted meanwhile */
    for (int i = 0; i < TAT_WHENS; i++) { x.wanted += c->wanted[i]; }
    if (has_requests(j)) {
        x.source = READ_REQUESTS;
        for (size_t i = 0; i < j->n_requests; i++) { x.bytes += j->requests[i].file ? j->requests[i].bytes : 0; }
        x.unique = union_of(j);
    } else if (c->source == TAT_IO_SOURCE_PAGES) {
        x.source = READ_PAGES;
        x.bytes = c->all.came * j->bytes.page_bytes;
        x.unique = (c->all.came - c->all.again) * j->bytes.page_bytes;
    } else if (whole && run_counter(j->io, TAT_IO_RUN_READ_BYTES, &x.bytes)) {
        x.source = READ_RUN;
    } else if (process_growth(j, TAT_IO_READ_BYTES, &x.bytes)) {
        x.source = READ_PROCESS;
    } else if (whole && m.process && !j->subject->some_tokens) {
        x.source = READ_USAGE;
        x.bytes = m.disk_bytes;
    }
    return x;
}

const char * reading_source(const struct reading * reading) {
    static const char * const names[] = { "not known",
                                          "block requests on the model's files",
                                          "pages that came into the page cache",
                                          "getrusage of the whole run, all files",
                                          "/proc/PID/io, all files",
                                          "getrusage since the first graph, all files" };
    return names[reading->source];
}
