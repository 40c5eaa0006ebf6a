/* SPDX-License-Identifier: MIT
 *
 * The same thing counted in several ways, side by side, with what each way leaves out.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "analysis/machine.h"
#include "analysis/storage/section.h"
#include "analysis/units.h"
#include "format/file_names.h"

enum { AGREES = 2 /* percent */ };

/* Something else than the rows above count, so the difference would mean nothing. */
static const char own_reads[] = "reads of tat itself, which are in none of the rows of the program";

struct count_of {
    const char * source;
    uint64_t value;
    bool known;
    const char * differs; /* why it may differ from the first that is known */
};

static uint64_t all_bytes(const struct joined * j) {
    uint64_t bytes = 0;
    for (size_t i = 0; i < j->n_requests; i++) {
        const struct tat_placed * p = &j->requests[i];
        if (p->place != TAT_PLACE_WRITE && p->place != TAT_PLACE_FAILED) { bytes += p->bytes; }
    }
    return bytes;
}

/* Of all files of the run that pages were recorded of. */
static uint64_t filled_bytes(const struct joined * j) {
    const struct tat_io * io = j->io;
    uint64_t pages = 0;
    for (size_t i = 0; i < io->n_pages; i++) {
        const struct tat_io_pages * p = &io->pages[i];
        const bool own = p->file && p->file <= io->n_files && is_named_as_ours(io->files[p->file - 1].path);
        if (!p->left && !own) { pages += p->count; }
    }
    return pages * j->bytes.page_bytes;
}

/* What the disk read of the trace and of these events: pages of them that had left memory. */
static uint64_t tracers_bytes(const struct joined * j) {
    uint64_t bytes = 0;
    for (size_t f = 0; f < j->io->n_files; f++) {
        if (is_named_as_ours(j->io->files[f].path)) { bytes += j->read_of[f]; }
    }
    return bytes;
}

static struct count_of of_run(const struct joined * j, enum tat_io_counter which, const char * source,
                              const char * differs) {
    struct count_of c = { .source = source, .differs = differs };
    c.known = run_counter(j->io, which, &c.value);
    return c;
}

static struct count_of counter(const struct joined * j, enum tat_io_counter which, const char * source,
                               const char * differs) {
    struct count_of c = { .source = source, .differs = differs };
    c.known = counter_growth(j->io, which, &c.value);
    return c;
}

static struct count_of of_process(const struct joined * j, enum tat_io_counter which, const char * source,
                                  const char * differs) {
    struct count_of c = { .source = source, .differs = differs };
    c.known = process_growth(j, which, &c.value);
    return c;
}

/* The first that is known is what the others are compared with. */
static void add_table(const struct count_of * counts, size_t n, const char * name, const char * title, enum unit unit,
                      struct result * r) {
    const struct result_column columns[] = { { "source", "counter", UNIT_TEXT },
                                             { "value", unit == UNIT_BYTES ? "bytes" : "faults", unit },
                                             { "difference", "difference", UNIT_CHANGE },
                                             { "why", "includes", UNIT_TEXT } };
    const struct count_of * first = NULL;
    size_t known = 0;
    for (size_t i = 0; i < n; i++) {
        known += counts[i].known;
        if (!first && counts[i].known) { first = &counts[i]; }
    }
    if (known < 2) { return; }
    result_table(r, name, title, SHOW_ASKED, columns, sizeof columns / sizeof columns[0]);
    for (size_t i = 0; i < n; i++) {
        if (!counts[i].known) { continue; }
        json_t * row = result_row(r);
        result_put_text(r, row, "source", counts[i].source);
        result_put_count(r, row, "value", counts[i].value);
        result_put_text(r, row, "why", counts[i].differs);
        if (&counts[i] == first || counts[i].differs == own_reads || !first->value) { continue; }
        result_put_real(r, row, "difference", (double) counts[i].value / (double) first->value - 1);
    }
}

static void add_bytes(const struct joined * j, const struct cache * c, const struct reading * x, struct result * r) {
    const struct tat_io * io = j->io;
    const struct machine m = machine_of(j->subject);
    const bool requests = io->recorded[TAT_IO_SOURCE_REQUESTS] || io->n_requests;
    const bool pages = c->source == TAT_IO_SOURCE_PAGES;
    enum { MODEL_REQUESTS, MODEL_PAGES, ALL_PAGES, TRACE_REQUESTS, ALL_REQUESTS, RUN_READ };
    const struct count_of counts[] = {
        [MODEL_REQUESTS] = { "block requests, model files", x->bytes, x->source == READ_REQUESTS,
                             "what the disk read of the model's files" },
        [MODEL_PAGES] = { "page cache, model files", c->all.came * j->bytes.page_bytes, pages,
                          "pages that came into memory, whoever read them" },
        [ALL_PAGES] = { "page cache, all recorded files", filled_bytes(j), pages,
                        "also the program, its libraries and what the run wrote" },
        [TRACE_REQUESTS] = { "block requests, the trace", tracers_bytes(j), requests,
                             "what the disk read again of the trace, for the recording" },
        [ALL_REQUESTS] = { "block requests, all reads", all_bytes(j), requests,
                           "also metadata of the file system, and other programs on the disk" },
        [RUN_READ] = of_run(j, TAT_IO_RUN_READ_BYTES, "getrusage, whole run",
                            "all files, read by the program and all that it started"),
        of_process(j, TAT_IO_READ_BYTES, "/proc/PID/io",
                   "all files, read by the traced process, between the first sample and the last"),
        { "getrusage, graphs", m.disk_bytes, m.process && m.disk_bytes && j->until_ns == INT64_MAX,
          "all files, from the first graph to the end: without loading" },
        counter(j, TAT_IO_GROUP_READ_BYTES, "control group, reads", "all files, read by all processes in the group"),
        counter(j, TAT_IO_GROUP_FILLED_BYTES, "control group, charges",
                "also memory that is no file's, such as the KV cache; pages charged together count as one"),
        counter(j, TAT_IO_DISK_READ_BYTES, "the disk's own count", "reads of all programs that use the disk"),
        counter(j, TAT_IO_TRACER_READ_BYTES, "tat record", own_reads),
    };
    add_table(counts, sizeof counts / sizeof *counts, "totals", "Bytes read, from each counter", UNIT_BYTES, r);
    const double all = (double) (counts[ALL_PAGES].value + counts[TRACE_REQUESTS].value);
    if (counts[RUN_READ].known && pages && all > 0) { /* both of all files */
        result_put_real(r, result_values(r), "process_difference", (double) counts[RUN_READ].value / all - 1);
    }
    if (x->source == READ_REQUESTS && pages && x->bytes) {
        const double apart = (double) counts[MODEL_PAGES].value / (double) x->bytes - 1;
        result_put_real(r, result_values(r), "pages_difference", apart);
        if (fabs(apart) * 100 > AGREES) {
            char share[UNITS_SIZE];
            result_note(r, "Requests read %s %s than came into the page cache of the model's files: %s.",
                        format_share(share, fabs(apart) / (1 + apart)), apart > 0 ? "less" : "more",
                        apart > 0 ? "some requests were not seen, or pages came from a copy of the file elsewhere"
                                  : "some reads went past the page cache, or not all that came was seen");
        }
    }
}

static void add_faults(const struct joined * j, struct result * r) {
    const struct machine m = machine_of(j->subject);
    const struct tat_file_header * header = tat_trace_header(j->subject->trace);
    char text[2][UNITS_SIZE];
    uint64_t all = 0, since = 0;
    for (size_t i = 0; i < j->io->n_faults; i++) {
        const struct tat_io_fault * f = &j->io->faults[i];
        if (!is_major(f) || f->pid != header->pid) { continue; }
        all++;
        since += f->end_ns >= header->start_monotonic_ns;
    }
    const struct count_of whole[] = {
        { "recorded", all, !j->no_waits, "the traced process" },
        of_run(j, TAT_IO_RUN_MAJOR_FAULTS, "getrusage, whole run", "the program and all that it started"),
        of_process(j, TAT_IO_MAJOR_FAULTS, "/proc/PID/stat",
                   "the traced process, between the first sample and the last"),
        counter(j, TAT_IO_GROUP_MAJOR_FAULTS, "control group", "all processes in the group"),
    };
    add_table(whole, sizeof whole / sizeof *whole, "fault_totals", "Major faults, from each counter", UNIT_COUNT, r);
    if (!m.process || j->no_waits || j->until_ns != INT64_MAX) { return; }
    result_put_count(r, result_values(r), "process_major_faults", m.major_faults);
    result_put_count(r, result_values(r), "recorded_major_faults", since);
    result_line(r, "counted",
                "%s major faults by the kernel since the first graph, the tracer's own included; %s recorded",
                format_count(text[0], m.major_faults), format_count(text[1], since));
}

void add_totals(const struct joined * j, const struct cache * c, const struct reading * x, struct result * r) {
    add_bytes(j, c, x, r);
    add_faults(j, r);
}
