/* SPDX-License-Identifier: MIT
 *
 * An address is a byte of a model file, by the trace's mappings; a byte is a weight's, by the table of tensors; and a
 * fault is an operation's whose operand has that page and that ran when it ended. A thread other than the first may
 * still be in an operation when the first has left it: then the fault is that of the operation before.
 */
#include <stdlib.h>

#include "analysis/storage/storage.h"

static void place_byte(const struct joined * j, struct tat_placed * p, const struct tat_io_fault * fault) {
    const struct subject * s = j->subject;
    const struct tat_file_header * header = tat_trace_header(s->trace);
    *p = placed_at(j, fault->end_ns, fault->duration_ns);
    p->event = (uint32_t) (fault - j->io->faults);
    if (fault->pid != header->pid) {
        p->place = TAT_PLACE_OTHER_PROCESS;
    } else if (!byte_at_address(&j->bytes, fault->address, &p->file, &p->offset)) {
        p->place = fault->flags & TAT_IO_IN_FILE ? TAT_PLACE_OTHER_FILE : TAT_PLACE_NO_FILE;
    } else {
        const struct stretch stretch = stretch_at(&j->bytes, p->file, p->offset);
        p->bytes = 1;
        placed_in(j, p, &stretch);
    }
}

/* ---- operations ---- */

enum { RECORDS_MAX = 1 << 16 };     /* of one operation, or of those fused with it */
enum { COMPARISONS_MAX = 1 << 30 }; /* of one trace: far beyond what a program can cause */

/* An operation, or several that have one time. */
struct operation {
    struct tat_access * records;
    size_t count;
    int64_t end_ns;
};

/* The faults that ended while one graph was computed, and the operation at hand with the one before. */
struct graph {
    struct joined * joined;
    struct tat_placed * faults;
    size_t count, next;
    uint64_t comparisons;
    struct operation now, before;
};

/* Strided runs count as one from the first to the last: a page between two rows is touched too, or next to one. */
static bool touches(const struct graph * g, const struct tat_access * a, const struct tat_placed * p) {
    const struct subject * s = g->joined->subject;
    const uint64_t page_bytes = g->joined->bytes.page_bytes;
    if (s->tensors[a->tensor].weight != p->tensor || a->bytes == 0) { return false; }
    const struct tat_layout layout = tat_trace_layout(s->trace, a->layout);
    const uint64_t extent = a->flags & TAT_ACCESS_STRIDED ? layout.run_bytes + layout.stride * (a->rows - 1) : a->bytes;
    const uint64_t page = p->offset / page_bytes * page_bytes;
    return page < a->offset + extent && a->offset < page + page_bytes;
}

static bool place_in_operation(struct graph * g, const struct operation * o, struct tat_placed * p) {
    for (size_t i = 0; i < o->count; i++) {
        if (!touches(g, &o->records[i], p)) { continue; }
        g->comparisons += i;
        p->place = TAT_PLACE_OPERATION;
        p->op = o->records[i].op;
        p->node = o->records[i].node;
        return true;
    }
    g->comparisons += o->count;
    return false;
}

/* Places the faults that ended with the operation at hand; it becomes the one before. */
static void end_operation(struct graph * g) {
    for (; g->next < g->count && g->faults[g->next].end_ns <= g->now.end_ns; g->next++) {
        struct tat_placed * p = &g->faults[g->next];
        if (p->place != TAT_PLACE_UNWANTED) { continue; }
        if (!place_in_operation(g, &g->now, p)) { place_in_operation(g, &g->before, p); }
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
        const int64_t end = (int64_t) (a->start_ns + a->duration_ns);
        if (a->duration_ns && !(a->flags & TAT_ACCESS_UNTIMED) && end != g->now.end_ns) {
            if (g->now.count) { end_operation(g); }
            g->now.end_ns = end;
        }
        if (g->now.count < RECORDS_MAX) { g->now.records[g->now.count++] = *a; }
    }
    return g->comparisons < COMPARISONS_MAX;
}

/* Marks the faults that ended within an evaluation. Returns how many. */
static size_t find_faults(struct joined * j, size_t first, uint32_t evaluation) {
    const struct tat_evaluation * e = &j->subject->evaluations[evaluation];
    size_t last = first;
    for (; last < j->io->n_faults && j->faults[last].end_ns <= (int64_t) e->end_ns; last++) {
        struct tat_placed * p = &j->faults[last];
        if (p->place == TAT_PLACE_OTHER_PROCESS) { continue; }
        p->evaluation = evaluation;
        p->token = e->token_first;
        p->when = (uint8_t) e->phase;
        if (p->place == TAT_PLACE_OUTSIDE) { p->place = TAT_PLACE_UNWANTED; }
    }
    return last - first;
}

/* Evaluations begin in the order of their numbers. Where those of several contexts overlap, a fault is looked for in
 * each, and is in the last that has the page. */
static int place_in_graphs(struct graph * g, struct tat_error * error) {
    struct joined * j = g->joined;
    const struct subject * s = j->subject;
    size_t first = 0;
    for (uint32_t e = 0; e < s->n_evaluations && !j->cut; e++) {
        const int64_t begin = (int64_t) s->evaluations[e].begin_ns;
        while (first < j->io->n_faults && j->faults[first].end_ns < begin) { first++; }
        g->faults = &j->faults[first];
        g->count = find_faults(j, first, e);
        g->next = g->now.count = g->before.count = 0;
        if (!g->count) { continue; }
        const int status = tat_trace_expand(s->trace, e, e + 1, take_records, g, error);
        if (status < 0) { return -1; }
        j->cut |= status > 0;
        g->now.end_ns = (int64_t) s->evaluations[e].end_ns;
        end_operation(g);
    }
    return 0;
}

int place_faults(struct joined * j, struct tat_error * error) {
    struct graph g = { .joined = j };
    j->faults = calloc(j->io->n_faults + 1, sizeof *j->faults);
    g.now.records = malloc(RECORDS_MAX * sizeof *g.now.records);
    g.before.records = malloc(RECORDS_MAX * sizeof *g.before.records);
    int status = 0;
    if (!j->faults || !g.now.records || !g.before.records) {
        status = tat_fail(error, TAT_ERROR_SYSTEM, "out of memory");
    } else {
        for (size_t i = 0; i < j->io->n_faults; i++) { place_byte(j, &j->faults[i], &j->io->faults[i]); }
        status = place_in_graphs(&g, error);
    }
    free(g.now.records);
    free(g.before.records);
    return status;
}
