/* SPDX-License-Identifier: MIT */
#include "analysis/view/pyramid.h"

#include <stdlib.h>
#include <string.h>

#include "analysis/parts.h"
#include "analysis/slices.h"

enum { BLOCK_LEAST = 16, LAYER_EXPERTS_MOST = 1 << 14 };
enum { MARKS = 128, MARKS_BYTES_MOST = 32 << 20 };
#define SUMS_MOST ((size_t) 12 << 20) /* 96 MiB */

struct making {
    const struct subject * subject;
    const struct token_axis * axis;
    struct pyramid * p;
    double * row; /* what the tally adds to */
    struct slices slices;
    uint64_t * reads; /* of each slice up to now, as in a mark */
    size_t read_bytes;
    uint32_t each; /* evaluations between marks */
};

static bool has_time(unsigned key) {
    return key != PYRAMID_BY_EXPERT && key != PYRAMID_BY_LAYER_EXPERT;
}

/* ---- how large ---- */

static bool lay_out(struct pyramid * p, const struct subject * s, const struct token_axis * axis) {
    static const enum tat_key keys[] = { [PYRAMID_BY_LAYER] = TAT_BY_LAYER,
                                         [PYRAMID_BY_TENSOR] = TAT_BY_TENSOR,
                                         [PYRAMID_BY_COMPONENT] = TAT_BY_COMPONENT,
                                         [PYRAMID_BY_EXPERT] = TAT_BY_EXPERT };
    for (unsigned k = 0; k < PYRAMID_BY_LAYER_EXPERT; k++) { p->width[k] = tat_matrix_columns(s->trace, keys[k]); }
    const uint64_t pairs = (uint64_t) p->width[PYRAMID_BY_LAYER] * p->width[PYRAMID_BY_EXPERT];
    p->width[PYRAMID_BY_LAYER_EXPERT] = pairs <= LAYER_EXPERTS_MOST ? (uint32_t) pairs : 0;
    for (unsigned k = 0; k < PYRAMID_KEYS; k++) {
        for (unsigned m = 0; m < TAT_MEASURE_COUNT; m++) {
            p->at[k][m] = p->row;
            p->row += m == TAT_SUM_NS && !has_time(k) ? 0 : p->width[k];
        }
    }
    p->n_tokens = axis->n_tokens;
    p->block = BLOCK_LEAST;
    do {
        p->n_blocks = p->n_tokens / p->block + (p->n_tokens % p->block != 0);
    } while (p->n_blocks > 1 && p->n_blocks > SUMS_MOST / p->row && (p->block *= 2));
    p->sums = calloc((size_t) p->n_blocks * p->row + 1, sizeof *p->sums);
    return p->sums;
}

/* ---- sums ---- */

static void add(const struct making * m, enum pyramid_key key, enum tat_measure measure, uint64_t column,
                double value) {
    if (column < m->p->width[key]) { m->row[m->p->at[key][measure] + column] += value; }
}

static void add_read(const struct making * m, const struct tat_tally * t, const struct tat_access * a) {
    const uint32_t slice = slice_of_weight(&m->slices, m->subject, a);
    if (slice == NO_SLICE || !a->bytes) { return; }
    m->reads[2 * (size_t) slice] += t->evaluations;
    m->reads[2 * (size_t) slice + 1] += t->evaluations * a->bytes;
}

static void add_record(const struct making * m, const struct tat_tally * t, size_t i) {
    const struct tat_access * a = &t->records[i];
    const struct tat_tensor * tensor = &m->subject->tensors[a->tensor];
    const uint64_t experts = m->p->width[PYRAMID_BY_EXPERT];
    const uint64_t layer = a->layer == TAT_NO_LAYER ? m->p->width[PYRAMID_BY_LAYER] - 1 : a->layer;
    const double value[] = { [TAT_SUM_BYTES] = (double) (a->bytes * t->evaluations),
                             [TAT_SUM_ACCESSES] = (double) (a->bytes ? t->evaluations : 0) };
    add_read(m, t, a);
    for (unsigned measure = 0; measure < TAT_SUM_NS && a->bytes; measure++) {
        add(m, PYRAMID_BY_LAYER, measure, layer, value[measure]);
        add(m, PYRAMID_BY_TENSOR, measure, tensor->weight, value[measure]);
        add(m, PYRAMID_BY_COMPONENT, measure, part_of(tensor), value[measure]);
        if (a->expert >= experts) { continue; }
        add(m, PYRAMID_BY_EXPERT, measure, a->expert, value[measure]);
        add(m, PYRAMID_BY_LAYER_EXPERT, measure, layer * experts + a->expert, value[measure]);
    }
    if (!t->alike) { return; }
    if (t->ns[i]) { add(m, PYRAMID_BY_LAYER, TAT_SUM_NS, layer, (double) t->ns[i]); }
    if (t->owner_ns[i]) {
        add(m, PYRAMID_BY_TENSOR, TAT_SUM_NS, tensor->weight, (double) t->owner_ns[i]);
        add(m, PYRAMID_BY_COMPONENT, TAT_SUM_NS, part_of(tensor), (double) t->owner_ns[i]);
    }
}

static bool add_records(const struct tat_tally * t, void * user) {
    for (size_t i = 0; i < t->count; i++) { add_record(user, t, i); }
    return true;
}

/* What evaluations of inference in [first, end) touched. */
static int add_evaluations(struct making * m, uint32_t first, uint32_t end, double * row, struct tat_error * error) {
    const struct tat_evaluation * e = m->subject->evaluations;
    m->row = row;
    while (first < end) {
        uint32_t last = first;
        while (last < end && is_inference(e[last].phase)) { last++; }
        if (last > first && tat_trace_tally(m->subject->trace, first, last, add_records, m, error) < 0) { return -1; }
        first = last + 1;
    }
    return 0;
}

/* Gives each block its part of a step that reaches beyond one. */
static int add_spread(struct making * m, const struct token_step * step, struct tat_error * error) {
    struct pyramid * p = m->p;
    const uint64_t behind = (uint64_t) step->first + step->tokens;
    double * row = calloc(p->row + 1, sizeof *row);
    int status = row ? 0 : tat_fail(error, TAT_ERROR_SYSTEM, "out of memory");
    if (status == 0) { status = add_evaluations(m, step->evaluation, step->end, row, error); }
    for (uint64_t at = step->first; at < behind && status == 0;) {
        const uint64_t block = at / p->block, end = (block + 1) * p->block < behind ? (block + 1) * p->block : behind;
        const double share = (double) (end - at) / step->tokens;
        double * to = p->sums + block * p->row;
        for (size_t i = 0; i < p->row; i++) { to[i] += share * row[i]; }
        at = end;
    }
    free(row);
    return status;
}

static bool is_within(const struct pyramid * p, const struct token_step * step) {
    return step->first / p->block == (uint32_t) (((uint64_t) step->first + step->tokens - 1) / p->block);
}

/* Steps that lie within one block are added together. */
static int add_steps(struct making * m, uint32_t * at, struct tat_error * error) {
    const struct token_step * steps = m->axis->steps;
    const uint32_t first = *at, block = steps[first].first / m->p->block;
    if (!is_within(m->p, &steps[first])) {
        ++*at;
        return add_spread(m, &steps[first], error);
    }
    while (*at < m->axis->n_steps && is_within(m->p, &steps[*at]) && steps[*at].first / m->p->block == block) { ++*at; }
    return add_evaluations(m, steps[first].evaluation, steps[*at - 1].end, m->p->sums + (size_t) block * m->p->row,
                           error);
}

/* ---- marks ---- */

static bool marks_begin(struct making * m) {
    m->p->marks = calloc(MARKS, sizeof *m->p->marks);
    if (!slices_find(&m->slices, m->subject) || !m->p->marks) { return false; }
    m->read_bytes = ((size_t) m->slices.count + 1) * 2 * sizeof *m->reads;
    const size_t most = MARKS_BYTES_MOST / m->read_bytes, marks = most < MARKS ? most : MARKS;
    m->each = marks ? (uint32_t) (m->subject->n_evaluations / marks + 1) : UINT32_MAX;
    m->reads = calloc(1, m->read_bytes);
    return m->reads;
}

/* Keeps what was read before evaluation `before`, if the last time is long ago. */
static void mark(struct making * m, uint32_t before) {
    struct pyramid * p = m->p;
    const uint32_t last = p->n_marks ? p->marks[p->n_marks - 1].before : 0;
    if (before - last < m->each || p->n_marks == MARKS) { return; }
    uint64_t * reads = malloc(m->read_bytes);
    if (!reads) { return; }
    memcpy(reads, m->reads, m->read_bytes);
    p->marks[p->n_marks++] = (struct pyramid_mark){ before, reads };
}

/* ---- */

struct pyramid * pyramid_make(const struct subject * subject, const struct token_axis * axis, pyramid_progress progress,
                              void * user, struct tat_error * error) {
    struct making m = { .subject = subject, .axis = axis, .p = calloc(1, sizeof *m.p) };
    int status =
        m.p && lay_out(m.p, subject, axis) && marks_begin(&m) ? 0 : tat_fail(error, TAT_ERROR_SYSTEM, "out of memory");
    for (uint32_t at = 0; at < axis->n_steps && status == 0;) {
        if (progress && !progress(axis->steps[at].first, axis->n_tokens, user)) {
            status = tat_fail(error, TAT_ERROR_NO, "the sums for pictures were not wanted any more");
        } else {
            status = add_steps(&m, &at, error);
            mark(&m, axis->steps[at - 1].end);
        }
    }
    if (status == 0) { status = tat_trace_trouble(subject->trace, error); }
    slices_free(&m.slices);
    free(m.reads);
    if (status == 0) { return m.p; }
    pyramid_free(m.p);
    return NULL;
}

void pyramid_free(struct pyramid * pyramid) {
    if (!pyramid) { return; }
    for (uint32_t i = 0; i < pyramid->n_marks; i++) { free(pyramid->marks[i].reads); }
    free(pyramid->marks);
    free(pyramid->sums);
    free(pyramid);
}
