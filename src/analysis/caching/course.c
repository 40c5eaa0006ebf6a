/* SPDX-License-Identifier: MIT */
#include "analysis/caching/course.h"

#include <stdlib.h>

enum { IDS = 3 /* the operand that names experts: src 2 */ };

#define NOT_KNOWN UINT64_MAX

bool course_begin(struct course * c, const struct references * r, uint32_t most) {
    *c = (struct course){ .references = r, .most = most };
    c->written = calloc((size_t) r->subject->n_tensors + 1, sizeof *c->written);
    return c->written;
}

void course_free(struct course * c) {
    free(c->reads.data);
    free(c->written);
}

static struct course_read * read_at(struct course * c, uint32_t i) {
    return &LIST(struct course_read, c->reads)[i];
}

static bool is_expert(const struct references * r, uint32_t slice) {
    return slice_expert(&r->slices, slice) != TAT_NO_EXPERT;
}

static void end_operation(struct course * c) {
    if (!c->begun) { return; }
    c->now += c->duration;
    c->operation++;
    c->written[c->result] = c->now;
    for (; c->first < c->reads.count; c->first++) {
        struct course_read * read = read_at(c, c->first);
        read->until = c->now;
        if (is_expert(c->references, read->slice)) { read->known = c->ids != NOT_KNOWN ? c->ids : read->at; }
    }
}

static void end_graph(struct course * c) {
    end_operation(c);
    c->n_graphs += c->reads_weights;
    c->reads_weights = false;
    c->graph_first = c->reads.count;
    c->full = c->reads.count >= c->most;
    c->begun = false;
}

static void add_read(struct course * c, uint32_t slice) {
    struct course_read * read = list_add(&c->reads, sizeof *read);
    c->failed |= !read;
    if (read) { *read = (struct course_read){ c->now, c->now, 0, c->operation, slice, c->n_graphs }; }
}

void course_feed(struct course * c, const struct tat_access * a, size_t count) {
    for (const struct tat_access * end = a + count; a < end && !c->full && !c->failed; a++) {
        if (phase_of(a) != TAT_PHASE_GENERATE) { continue; }
        if (c->begun && a->evaluation != c->evaluation) { end_graph(c); }
        if (c->full) { return; }
        if (!c->begun || a->node != c->node) {
            end_operation(c);
            c->begun = true;
            c->evaluation = a->evaluation;
            c->node = a->node;
            c->duration = a->duration_ns;
            c->result = a->tensor;
            c->ids = NOT_KNOWN;
        }
        if (a->operand == 0) { c->result = a->tensor; }
        if (a->operand == IDS) { c->ids = c->written[a->tensor]; }
        c->reads_weights |= a->bytes && c->references->subject->tensors[a->tensor].kind == TAT_TENSOR_WEIGHT;
        const uint32_t slice = whole_slice(c->references, a);
        if (slice != NO_SLICE) { add_read(c, slice); }
    }
}

/* A graph that ended early counts too: its reads are in the string of references. */
void course_end(struct course * c) {
    if (c->begun) { end_graph(c); }
}
