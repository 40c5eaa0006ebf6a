/* SPDX-License-Identifier: MIT */
#include "export/perfetto_size.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "analysis/units.h"
#include "export/perfetto_io.h"

/* The graphs of one template and phase differ in times, and in the experts and rows that they read: their traces are
 * about as long. The largest of a few is taken. */
enum { SAMPLES = 3, RECORD_BYTES_MOST = 1024 };

struct sample {
    uint64_t bytes;
    uint32_t measured;
};

/* A graph that has records for the request. */
struct graph {
    uint32_t token_first, token_last;
    uint64_t bytes;
};

struct sizes {
    const struct access_request * request;
    const struct tat_trace * trace;
    struct sample * samples; /* by template and phase */
    struct graph * graphs;
    uint32_t n_graphs;
    uint64_t bytes;
    struct tat_io io; /* zeroed if there is none */
    uint64_t io_ns;   /* up to there I/O events have been counted, since the trace began */
};

/* ---- measuring ---- */

static bool is_there(const struct tat_access * records, size_t count, void * user) {
    (void) records;
    *(bool *) user = count > 0;
    return false;
}

static ssize_t count_bytes(void * user, const char * bytes, size_t count) {
    (void) bytes;
    *(uint64_t *) user += count;
    return (ssize_t) count;
}

static bool put(const struct tat_access * records, size_t count, void * user) {
    bool going = true;
    for (size_t i = 0; i < count && going; i++) { /* strides are a few bytes, and here zero */
        going = access_writer_put(user, &records[i], (struct tat_layout){ 0 });
    }
    return going;
}

/* *bytes: what the evaluation takes where the names in it were said before, so it is put twice. */
static int measure(const struct sizes * s, uint32_t evaluation, uint64_t * bytes, struct tat_error * error) {
    enum { ITS_OWN = 256 }; /* the graph's own slice and counters, which the second time lacks */
    const cookie_io_functions_t io = { .write = count_bytes };
    struct access_writer * writer = malloc(sizeof *writer);
    uint64_t flushed = 0, before = 0;
    FILE * out = fopencookie(&flushed, "w", io);
    int status = -1;
    if (!writer || !out) {
        tat_fail_errno(error, "cannot measure");
    } else {
        access_writer_begin(writer, &access_perfetto, s->trace, out, "the measure");
        for (int time = 0; time < 2; time++) {
            before = flushed + writer->out.used;
            status = tat_filter_expand(s->request->filter, evaluation, evaluation + 1, put, writer, error);
            if (status < 0) { break; }
            text_out_flush(&writer->out);
            fflush(out);
        }
        *bytes = flushed - before + ITS_OWN;
        access_writer_free(writer);
    }
    if (out) { fclose(out); }
    free(writer);
    return status;
}

/* Of the events since the graph before, or since its beginning if that was not wanted. */
static uint64_t bytes_of_io(struct sizes * s, const struct tat_evaluation * e) {
    const uint64_t begin = s->n_graphs && s->io_ns < e->begin_ns ? s->io_ns : e->begin_ns;
    if (e->end_ns <= begin) { return 0; }
    s->io_ns = e->end_ns;
    return perfetto_io_bytes(&s->io, tat_trace_header(s->trace)->start_monotonic_ns,
                             (struct io_span){ begin, e->end_ns });
}

static int add_graph(struct sizes * s, uint32_t number, const struct tat_evaluation * e, struct tat_error * error) {
    struct sample * sample = &s->samples[(size_t) e->template_id * TAT_PHASE_COUNT + e->phase];
    bool found = false;
    if (tat_filter_expand(s->request->filter, number, number + 1, is_there, &found, error) < 0) { return -1; }
    if (!found) { return 0; }
    if (sample->measured < SAMPLES) {
        uint64_t bytes;
        if (measure(s, number, &bytes, error) < 0) { return -1; }
        if (bytes > sample->bytes) { sample->bytes = bytes; }
        sample->measured++;
    }
    const uint64_t bytes = sample->bytes + bytes_of_io(s, e);
    const uint64_t last = (uint64_t) e->token_first + (e->n_tokens ? e->n_tokens - 1 : 0);
    s->graphs[s->n_graphs++] =
        (struct graph){ e->token_first, last < UINT32_MAX ? (uint32_t) last : UINT32_MAX, bytes };
    s->bytes += bytes;
    return 0;
}

/* ---- what fits ---- */

static int by_last_token(const void * a, const void * b) {
    const struct graph *x = a, *y = b;
    return (x->token_last > y->token_last) - (x->token_last < y->token_last);
}

/* Of all contexts: tokens are counted in each. */
static int refuse(struct sizes * s, uint64_t most, struct tat_error * error) {
    char size[UNITS_SIZE], limit[UNITS_SIZE];
    uint32_t first = UINT32_MAX, fit = 0;
    uint64_t bytes = 0;
    qsort(s->graphs, s->n_graphs, sizeof *s->graphs, by_last_token);
    for (uint32_t i = 0; i < s->n_graphs; i++) {
        bytes += s->graphs[i].bytes;
        if (s->graphs[i].token_first < first) { first = s->graphs[i].token_first; }
        const bool ends = i + 1 == s->n_graphs || s->graphs[i + 1].token_last != s->graphs[i].token_last;
        if (ends && bytes <= most) { fit = i + 1; }
    }
    format_bytes(size, s->bytes);
    format_bytes(limit, most);
    if (fit == 0) {
        return tat_fail(error, TAT_ERROR_USAGE,
                        "this would be about %s, more than %s: choose fewer with --layers, --ops or --tensors", size,
                        limit);
    }
    return tat_fail(error, TAT_ERROR_USAGE,
                    "this would be about %s, more than %s: --tokens %" PRIu32 ":%" PRIu32 " fits", size, limit, first,
                    s->graphs[fit - 1].token_last);
}

int perfetto_check_size(const struct access_request * request, const struct tat_trace * trace, uint64_t most,
                        struct tat_error * error) {
    uint32_t count, n_templates;
    const struct tat_evaluation * e = tat_trace_evaluations(trace, &count);
    tat_trace_templates(trace, &n_templates);
    struct sizes s = { .request = request, .trace = trace };
    struct tat_error none;
    if (request->limit && request->limit < most / RECORD_BYTES_MOST) { return 0; }
    if (tat_storage_read(trace, &s.io, &none) != 0) { s.io = (struct tat_io){ 0 }; }
    s.samples = calloc((size_t) n_templates * TAT_PHASE_COUNT + 1, sizeof *s.samples);
    s.graphs = calloc((size_t) count + 1, sizeof *s.graphs);
    int status = s.samples && s.graphs ? 0 : tat_fail(error, TAT_ERROR_SYSTEM, "out of memory");
    for (uint32_t i = 0; i < count && status == 0; i++) { status = add_graph(&s, i, &e[i], error); }
    if (status == 0 && s.bytes > most) { status = refuse(&s, most, error); }
    tat_io_free(&s.io);
    free(s.samples);
    free(s.graphs);
    return status;
}
