/* SPDX-License-Identifier: MIT
 *
 * An address is a byte of a model file, by the trace's mappings; a byte is a weight's, by the table of tensors; and a
 * fault is an operation's whose operand has that page and that ran when it ended. A thread other than the first may
 * still be in an operation when the first has left it: then the fault is that of the operation before.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "analysis/slices.h"
#include "analysis/storage/storage.h"

struct placing {
    const struct subject * subject;
    const struct tat_event ** mappings; /* in the order in which they were noted */
    uint32_t n_mappings;
    uint32_t * weights; /* tensors in a model file, by file and offset, each weight once */
    uint32_t n_weights;
    struct slices slices;
};

/* ---- bytes of files ---- */

static int by_place(const void * a, const void * b, void * tensors) {
    const struct tat_tensor *x = (const struct tat_tensor *) tensors + *(const uint32_t *) a,
                            *y = (const struct tat_tensor *) tensors + *(const uint32_t *) b;
    if (x->file != y->file) { return x->file < y->file ? -1 : 1; }
    return x->file_offset < y->file_offset ? -1 : x->file_offset > y->file_offset;
}

static bool prepare(struct placing * p, const struct subject * s) {
    p->subject = s;
    p->mappings = malloc(((size_t) s->n_events + 1) * sizeof *p->mappings);
    p->weights = malloc(((size_t) s->n_tensors + 1) * sizeof *p->weights);
    if (!p->mappings || !p->weights || !slices_find(&p->slices, s)) { return false; }
    for (uint32_t i = 0; i < s->n_events; i++) {
        if (s->events[i].type == TAT_EVENT_MAPPING) { p->mappings[p->n_mappings++] = &s->events[i]; }
    }
    for (uint32_t i = 0; i < s->n_tensors; i++) {
        if (slices_of(&p->slices, i) && s->tensors[i].file && counts_once(s, i)) { p->weights[p->n_weights++] = i; }
    }
    qsort_r(p->weights, p->n_weights, sizeof *p->weights, by_place, (void *) s->tensors);
    return true;
}

static void unprepare(struct placing * p) {
    free(p->mappings);
    free(p->weights);
    slices_free(&p->slices);
}

/* The later of two mappings counts. */
static bool place_in_file(const struct placing * p, struct placed_fault * f) {
    for (uint32_t i = p->n_mappings; i-- > 0;) {
        const uint64_t * value = p->mappings[i]->value; /* file, address, bytes, file offset */
        if (f->fault.address - value[1] >= value[2]) { continue; }
        f->file = (uint32_t) value[0];
        f->file_offset = f->fault.address - value[1] + value[3];
        return true;
    }
    return false;
}

static bool begins_after(const struct tat_tensor * t, const struct placed_fault * f) {
    return t->file != f->file ? t->file > f->file : t->file_offset > f->file_offset;
}

/* The last weight that begins no later than the byte, if that is in it. */
static bool place_in_tensor(const struct placing * p, struct placed_fault * f) {
    uint32_t low = 0, high = p->n_weights;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (begins_after(&p->subject->tensors[p->weights[middle]], f)) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    if (low == 0) { return false; }
    const uint32_t number = p->weights[low - 1];
    const struct tat_tensor * t = &p->subject->tensors[number];
    const uint64_t in = f->file_offset - t->file_offset;
    if (t->file != f->file || in >= t->bytes) { return false; }
    f->tensor = number;
    const uint64_t experts = slices_of(&p->slices, number), each = experts ? t->bytes / experts : 0;
    if (experts > 1 && each && in / each < experts) { f->expert = (uint16_t) (in / each); }
    return true;
}

static void place_byte(const struct placing * p, struct placed_fault * f, uint32_t pid) {
    const bool in_file = f->fault.flags & TAT_IO_IN_FILE;
    f->tensor = NO_TENSOR;
    f->expert = TAT_NO_EXPERT;
    f->evaluation = NO_EVALUATION;
    if (f->fault.pid != pid) {
        f->place = PLACE_OTHER_PROCESS;
    } else if (!place_in_file(p, f)) {
        f->place = in_file ? PLACE_OTHER_FILE : PLACE_NO_FILE;
    } else {
        f->place = place_in_tensor(p, f) ? PLACE_OUTSIDE : PLACE_NO_WEIGHT;
    }
}

/* ---- operations ---- */

enum { RECORDS_MAX = 1 << 16 };     /* of one operation, or of those fused with it */
enum { COMPARISONS_MAX = 1 << 30 }; /* of one trace: far beyond what a program can cause */

/* An operation, or several that have one time. */
struct operation {
    struct tat_access * records;
    size_t count;
    uint64_t end_ns; /* CLOCK_MONOTONIC */
};

/* The faults that ended while one graph was computed, and the operation at hand with the one before. */
struct graph {
    const struct placing * placing;
    struct placed_fault * faults;
    size_t count, next;
    uint64_t start_ns; /* of the trace */
    uint64_t page;
    uint64_t comparisons;
    struct operation now, before;
};

/* Strided runs count as one from the first to the last: a page between two rows is touched too, or next to one. */
static bool touches(const struct graph * g, const struct tat_access * a, const struct placed_fault * f) {
    const struct subject * s = g->placing->subject;
    if (s->tensors[a->tensor].weight != f->tensor || a->bytes == 0) { return false; }
    const struct tat_layout layout = tat_trace_layout(s->trace, a->layout);
    const uint64_t extent = a->flags & TAT_ACCESS_STRIDED ? layout.run_bytes + layout.stride * (a->rows - 1) : a->bytes;
    const uint64_t page = f->file_offset / g->page * g->page;
    return page < a->offset + extent && a->offset < page + g->page;
}

static bool place_in_operation(struct graph * g, const struct operation * o, struct placed_fault * f) {
    for (size_t i = 0; i < o->count; i++) {
        if (!touches(g, &o->records[i], f)) { continue; }
        g->comparisons += i;
        f->place = PLACE_OPERATION;
        f->op = o->records[i].op;
        return true;
    }
    g->comparisons += o->count;
    return false;
}

/* Places the faults that ended with the operation at hand; it becomes the one before. */
static void end_operation(struct graph * g) {
    for (; g->next < g->count && g->faults[g->next].fault.end_ns <= g->now.end_ns; g->next++) {
        struct placed_fault * f = &g->faults[g->next];
        if (f->place != PLACE_UNWANTED) { continue; }
        if (!place_in_operation(g, &g->now, f)) { place_in_operation(g, &g->before, f); }
    }
    struct operation old = g->before;
    old.count = 0;
    g->before = g->now;
    g->now = old;
}

/* Records without a time of their own, as of the second of two fused nodes, belong to the operation before. */
static bool take_records(const struct tat_access * records, size_t count, void * user) {
    struct graph * g = user;
    for (size_t i = 0; i < count; i++) {
        const struct tat_access * a = &records[i];
        const uint64_t end = g->start_ns + a->start_ns + a->duration_ns;
        if (a->duration_ns && !(a->flags & TAT_ACCESS_UNTIMED) && end != g->now.end_ns) {
            if (g->now.count) { end_operation(g); }
            g->now.end_ns = end;
        }
        if (g->now.count < RECORDS_MAX) { g->now.records[g->now.count++] = *a; }
    }
    return g->comparisons < COMPARISONS_MAX;
}

/* Marks the faults that ended within an evaluation. Returns how many. */
static size_t find_faults(struct placed_faults * faults, size_t first, uint64_t end_ns, uint32_t evaluation) {
    size_t last = first;
    for (; last < faults->count && faults->at[last].fault.end_ns <= end_ns; last++) {
        struct placed_fault * f = &faults->at[last];
        if (f->place == PLACE_OTHER_PROCESS) { continue; }
        f->evaluation = evaluation;
        if (f->place == PLACE_OUTSIDE) { f->place = PLACE_UNWANTED; }
    }
    return last - first;
}

/* Evaluations begin in the order of their numbers. Where those of several contexts overlap, a fault is looked for in
 * each, and is in the last that has the page. */
static int place_in_graphs(struct graph * g, struct placed_faults * faults, struct tat_error * error) {
    const struct subject * s = g->placing->subject;
    size_t first = 0;
    for (uint32_t e = 0; e < s->n_evaluations; e++) {
        const uint64_t begin = g->start_ns + s->evaluations[e].begin_ns, end = g->start_ns + s->evaluations[e].end_ns;
        while (first < faults->count && faults->at[first].fault.end_ns < begin) { first++; }
        g->faults = &faults->at[first];
        g->count = find_faults(faults, first, end, e);
        g->next = g->now.count = g->before.count = 0;
        if (!g->count) { continue; }
        const int status = tat_trace_expand(s->trace, e, e + 1, take_records, g, error);
        if (status < 0) { return -1; }
        if (status > 0) {
            return tat_fail(error, TAT_ERROR_INPUT, "%s: more page faults in a graph than a program can cause",
                            tat_trace_path(s->trace));
        }
        g->now.end_ns = end;
        end_operation(g);
    }
    return 0;
}

static int place_by_operations(const struct placing * p, struct placed_faults * faults, struct tat_error * error) {
    const struct tat_file_header * header = tat_trace_header(p->subject->trace);
    struct graph g = { .placing = p,
                       .start_ns = header->start_monotonic_ns,
                       .page = header->page_bytes ? header->page_bytes : 4096 };
    g.now.records = malloc(RECORDS_MAX * sizeof *g.now.records);
    g.before.records = malloc(RECORDS_MAX * sizeof *g.before.records);
    const int status = g.now.records && g.before.records ? place_in_graphs(&g, faults, error)
                                                         : tat_fail(error, TAT_ERROR_SYSTEM, "out of memory");
    free(g.now.records);
    free(g.before.records);
    return status;
}

/* ---- all ---- */

static int place_all(struct placed_faults * faults, const struct subject * s, const struct tat_io * io,
                     struct tat_error * error) {
    struct placing p = { 0 };
    int status = -1;
    faults->at = calloc(io->n_faults + 1, sizeof *faults->at);
    if (!faults->at || !prepare(&p, s)) {
        tat_fail(error, TAT_ERROR_SYSTEM, "out of memory");
    } else {
        faults->count = io->n_faults;
        for (size_t i = 0; i < io->n_faults; i++) {
            faults->at[i].fault = io->faults[i];
            place_byte(&p, &faults->at[i], tat_trace_header(s->trace)->pid);
        }
        status = place_by_operations(&p, faults, error);
    }
    unprepare(&p);
    return status;
}

/* Where certain tokens were asked for, what happened in their graphs. */
static void keep_of_tokens(struct placed_faults * faults) {
    size_t n = 0;
    for (size_t i = 0; i < faults->count; i++) {
        if (faults->at[i].evaluation != NO_EVALUATION) { faults->at[n++] = faults->at[i]; }
    }
    faults->count = n;
}

/* A folder's name without the "_NUMBER" at its end, if it has one. Returns the length. */
static int without_number(const char * folder, int length) {
    int at = length;
    while (at > 0 && folder[at - 1] >= '0' && folder[at - 1] <= '9') { at--; }
    return at > 0 && at < length && folder[at - 1] == '_' ? at - 1 : length;
}

/* The file beside the trace, or beside that of the run's first process: further ones have "_PID" or "_PID_N" appended.
 * NULL: there is none, or no memory. */
static char * find_file(const struct tat_trace * of) {
    const char * trace = tat_trace_path(of);
    const char * slash = strrchr(trace, '/');
    int length = slash ? (int) (slash - trace) : 0;
    for (int numbers = 0; numbers <= 2; numbers++, length = without_number(trace, length)) {
        char * path;
        if (asprintf(&path, "%.*s%sio_events.bin", length, trace, slash ? "/" : "") < 0) { return NULL; }
        if (access(path, F_OK) == 0) { return path; }
        free(path);
    }
    return NULL;
}

int io_events_read(struct tat_io * io, const struct tat_trace * trace, struct tat_error * error) {
    char * path = find_file(trace);
    *io = (struct tat_io){ 0 };
    if (!path) { return 1; }
    const int status = tat_io_read(path, io, error);
    free(path);
    return status;
}

int faults_place(struct placed_faults * faults, const struct subject * s, const struct tat_io * io,
                 struct tat_error * error) {
    *faults = (struct placed_faults){ .ignored = io->ignored,
                                      .lost = io->lost,
                                      .damaged_bytes = io->damaged_bytes,
                                      .partial = io->partial,
                                      .ended = io->ended };
    const int status = place_all(faults, s, io, error);
    if (s->some_tokens) { keep_of_tokens(faults); }
    return status;
}

void placed_faults_free(struct placed_faults * faults) {
    free(faults->at);
    *faults = (struct placed_faults){ 0 };
}
