/* SPDX-License-Identifier: MIT */
#include "export/reference_string.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "analysis/caching/cache_string.h"
#include "analysis/one_weight.h"
#include "export/text_row.h"

enum { READS_MAX = 1 << 28 }; /* 2 GiB with the next read of each */

struct one_read {
    uint32_t graph; /* evaluation */
    enum tat_phase phase;
    uint32_t item;
    int64_t next; /* the number of the next read of the item, from 0; -1: none */
};

struct writer {
    const struct cache_string * string;
    struct text_out out;
};

struct reference_format {
    const char * name;
    uint64_t item_most; /* bytes of an item */
    void (*begin)(struct writer * w);
    void (*read)(struct writer * w, const struct one_read * read);
};

const char * reference_format_name(const struct reference_format * format) {
    return format->name;
}

/* ---- formats ---- */

static const char * const columns[] = { "object", "bytes", "next", "graph", "phase", "tensor", "expert", "address" };
enum { COLUMNS = sizeof columns / sizeof columns[0] };

static void begin_csv(struct writer * w) {
    row_names(&w->out, columns, COLUMNS, ',');
}

static void read_csv(struct writer * w, const struct one_read * read) {
    const struct cache_string * s = w->string;
    const struct references * r = s->references;
    struct cell cells[COLUMNS] = {
        cell_number(read->item),
        cell_number(s->bytes[read->item]),
        read->next < 0 ? (struct cell){ .kind = CELL_EMPTY } : cell_number((uint64_t) read->next),
        cell_number(read->graph),
        cell_text(tat_phase_name(read->phase)),
    };
    if (is_of_blocks(s)) {
        cells[7] = cell_number(LIST(const uint64_t, s->selected)[read->item] * s->unit);
    } else {
        const uint32_t slice = s->slice[read->item];
        const uint16_t expert = slice_expert(&r->slices, slice);
        cells[5] = cell_text(r->subject->tensors[r->slices.tensor[slice]].name);
        if (expert != TAT_NO_EXPERT) { cells[6] = cell_number(expert); }
        cells[7] = cell_number(r->address[slice]);
    }
    row_csv(&w->out, cells, COLUMNS);
}

/* libCacheSim, traceReader/customizedReader/oracle/oracleGeneralBin.h: time, object, size, next read; little-endian. */
static void read_oracle(struct writer * w, const struct one_read * read) {
    const struct __attribute__((packed)) {
        uint32_t time;
        uint64_t object;
        uint32_t bytes;
        int64_t next;
    } record = { htole32(read->graph), htole64(read->item), htole32((uint32_t) w->string->bytes[read->item]),
                 (int64_t) htole64((uint64_t) read->next) };
    text_out_bytes(&w->out, &record, sizeof record);
}

const struct reference_format reference_csv = { "csv", UINT64_MAX, begin_csv, read_csv };
const struct reference_format reference_oracle = { "oracleGeneral", UINT32_MAX, NULL, read_oracle };

/* ---- the string ---- */

struct fed {
    struct one_weight weights;
    struct references * references;
};

static bool feed(const struct tat_access * records, size_t count, void * state) {
    struct fed * f = state;
    records = one_weight_records(&f->weights, records, count);
    if (records) { references_feed(f->references, records, count); }
    return records;
}

static int out_of_memory(struct tat_error * error) {
    return tat_fail(error, TAT_ERROR_SYSTEM, "out of memory");
}

static int read_references(struct references * r, const struct subject * subject, struct tat_error * error) {
    struct fed fed = { one_weight_of(subject->trace), r };
    int status = references_begin(r, subject) ? subject_expand(subject, feed, &fed, error) : out_of_memory(error);
    references_end(r);
    if (status == 0 && (r->failed || fed.weights.failed)) { status = out_of_memory(error); }
    one_weight_free(&fed.weights);
    return status;
}

/* The caller's; NULL: memory. */
static uint32_t * find_next(const struct cache_string * s) {
    uint32_t * next = malloc(((size_t) s->items.count + 1) * sizeof *next);
    uint32_t * first = malloc(((size_t) s->n_items + 1) * sizeof *first);
    if (next && first) { cache_string_order(s, next, first); }
    free(first);
    if (first) { return next; }
    free(next);
    return NULL;
}

static int write_reads(struct writer * w, const struct reference_format * format, const uint32_t * next,
                       const char * name, struct tat_error * error) {
    const struct cache_string * s = w->string;
    uint32_t i = 0;
    if (format->begin && s->items.count) { format->begin(w); }
    for (uint32_t g = 0; g < s->graphs.count && !w->out.error; g++) {
        const uint32_t graph = mark_at(s->references, g)->evaluation;
        const enum tat_phase phase = mark_phase(s->references, g);
        for (; i < graph_at(s, g)->end && !w->out.error; i++) {
            const int64_t again = next[i] == NO_READ ? -1 : (int64_t) next[i];
            format->read(w, &(struct one_read){ graph, phase, item_at(s, i), again });
        }
    }
    errno = text_out_end(&w->out);
    return errno ? tat_fail_errno(error, "writing %s", name) : 0;
}

static int check_sizes(const struct cache_string * s, const struct reference_format * format,
                       struct tat_error * error) {
    for (uint32_t item = 0; item < s->n_items; item++) {
        if (s->bytes[item] <= format->item_most) { continue; }
        return tat_fail(error, TAT_ERROR_NO,
                        "%s holds objects up to 4 GiB, and one has %" PRIu64
                        " bytes: choose --format csv, or --unit 64K",
                        format->name, s->bytes[item]);
    }
    return 0;
}

static int write_string(const struct reference_request * request, const struct subject * subject, FILE * out,
                        const char * name, struct reference_count * count, struct tat_error * error) {
    struct references references = { 0 };
    struct cache_string string = { 0 };
    struct writer * w = calloc(1, sizeof *w);
    uint32_t * next = NULL;
    int status = w ? read_references(&references, subject, error) : out_of_memory(error);
    const struct string_request whole = { subject->options.cache_unit, READS_MAX, false, 0 };
    if (status == 0 && !(cache_string_make(&string, &references, &whole) && (next = find_next(&string)))) {
        status = out_of_memory(error);
    }
    if (status == 0) { status = check_sizes(&string, request->format, error); }
    if (status == 0) {
        w->string = &string;
        text_out_begin(&w->out, out);
        status = write_reads(w, request->format, next, name, error);
    }
    *count =
        (struct reference_count){ string.items.count, string.n_items, string.graphs.count, references.marks.count };
    free(next);
    free(w);
    cache_string_free(&string);
    references_free(&references);
    return status;
}

int reference_string_write(const struct reference_request * request, const struct tat_trace * trace, FILE * out,
                           const char * name, struct reference_count * count, struct tat_error * error) {
    struct subject subject = { 0 };
    struct tat_trace * part = NULL;
    const uint32_t number =
        request->model ? tat_trace_find_model(trace, request->model, error) : tat_trace_main_model(trace);
    if (request->model && !number) { return -1; }
    if (number && !(part = tat_trace_of_model(trace, number, error))) { return -1; }
    const struct tat_analysis_options options = { .cache_unit = request->unit };
    int status = subject_begin(&subject, part ? part : trace, &options) ? 0 : out_of_memory(error);
    if (status == 0) { status = write_string(request, &subject, out, name, count, error); }
    if (status == 0) { status = tat_trace_trouble(trace, error); }
    subject_free(&subject);
    tat_trace_close(part);
    return status;
}
