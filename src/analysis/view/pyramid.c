/* SPDX-License-Identifier: MIT */
#include "analysis/view/pyramid.h"

#include <stdlib.h>
#include <string.h>

#include "analysis/parts.h"
#include "analysis/view/pyramid_parts.h"

enum { BLOCK_LEAST = 16, LAYER_EXPERTS_MOST = 1 << 14 };
enum { MARKS_BYTES_MOST = 32 << 20 };
#define SUMS_MOST ((size_t) 12 << 20) /* 96 MiB */

struct making {
    const struct subject * subject;
    const struct token_axis * axis;
    const struct pyramid * p;
    uint32_t first, end; /* blocks */
    double * sums;       /* of these blocks */
    double * row;        /* what the tally adds to */
    uint64_t * reads;    /* of each slice up to now, as in a mark; NULL: they are not counted */
};

static bool has_time(unsigned key) {
    return key != PYRAMID_BY_EXPERT && key != PYRAMID_BY_LAYER_EXPERT;
}

/* ---- how large ---- */

static void choose_columns(struct pyramid * p, const struct subject * s) {
    for (unsigned k = 0; k < PYRAMID_BY_LAYER_EXPERT; k++) {
        p->width[k] = tat_matrix_columns(s->trace, pyramid_matrix_key(k));
    }
    const uint64_t pairs = (uint64_t) p->width[PYRAMID_BY_LAYER] * p->width[PYRAMID_BY_EXPERT];
    p->width[PYRAMID_BY_LAYER_EXPERT] = pairs <= LAYER_EXPERTS_MOST ? (uint32_t) pairs : 0;
    for (unsigned k = 0; k < PYRAMID_KEYS; k++) {
        for (unsigned m = 0; m < TAT_MEASURE_COUNT; m++) {
            p->at[k][m] = p->row;
            p->row += m == TAT_SUM_NS && !has_time(k) ? 0 : p->width[k];
        }
    }
}

static void choose_blocks(struct pyramid * p) {
    p->block = BLOCK_LEAST;
    do {
        p->n_blocks = p->n_tokens / p->block + (p->n_tokens % p->block != 0);
    } while (p->n_blocks > 1 && p->n_blocks > SUMS_MOST / p->row && (p->block *= 2));
}

size_t pyramid_reads(const struct pyramid * p) {
    return 2 * (size_t) p->slices.count;
}

/* Marks stand where blocks end, so that sums can be made on from there. */
static void choose_marks(struct pyramid * p) {
    const size_t fit = MARKS_BYTES_MOST / ((pyramid_reads(p) + 1) * sizeof *p->marks->reads);
    const size_t most = fit < PYRAMID_MARKS_MOST ? fit : PYRAMID_MARKS_MOST;
    uint64_t tokens = most ? p->block : 0;
    while (tokens && p->n_tokens / tokens > most) { tokens *= 2; }
    p->mark_tokens = (uint32_t) tokens;
}

struct pyramid * pyramid_new(const struct subject * subject, const struct token_axis * axis) {
    struct pyramid * p = calloc(1, sizeof *p);
    if (!p) { return NULL; }
    const bool good = slices_find(&p->slices, subject);
    p->n_tokens = axis->n_tokens;
    p->n_evaluations = subject->n_evaluations;
    p->last_step = axis->n_steps ? axis->steps[axis->n_steps - 1].evaluation : 0;
    choose_columns(p, subject);
    choose_blocks(p);
    choose_marks(p);
    p->sums = calloc((size_t) p->n_blocks * p->row + 1, sizeof *p->sums);
    p->marks = calloc(PYRAMID_MARKS_MOST, sizeof *p->marks);
    if (good && p->sums && p->marks) { return p; }
    pyramid_free(p);
    return NULL;
}

/* ---- sums ---- */

static void add(const struct making * m, enum pyramid_key key, enum tat_measure measure, uint64_t column,
                double value) {
    if (column < m->p->width[key]) { m->row[m->p->at[key][measure] + column] += value; }
}

static void add_read(const struct making * m, const struct tat_tally * t, const struct tat_access * a) {
    const uint32_t slice = m->reads ? slice_of_weight(&m->p->slices, m->subject, a) : NO_SLICE;
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
    while ((first = next_inference(m->subject, first, end)) < end) {
        uint32_t last = first + 1;
        while (last < end && is_inference(e[last].phase)) { last++; }
        if (tat_trace_tally(m->subject->trace, first, last, add_records, m, error) < 0) { return -1; }
        first = last;
    }
    return 0;
}

static double * row_of(const struct making * m, uint64_t block) {
    return m->sums + (size_t) (block - m->first) * m->p->row;
}

/* Gives each block its part of a step that reaches beyond one. */
static int add_spread(struct making * m, const struct token_step * step, struct tat_error * error) {
    const struct pyramid * p = m->p;
    const uint64_t behind = (uint64_t) step->first + step->tokens;
    double * row = calloc(p->row + 1, sizeof *row);
    int status = row ? 0 : tat_fail(error, TAT_ERROR_SYSTEM, "out of memory");
    if (status == 0) { status = add_evaluations(m, step->evaluation, step->end, row, error); }
    for (uint64_t at = step->first; at < behind && status == 0;) {
        const uint64_t block = at / p->block, end = (block + 1) * p->block < behind ? (block + 1) * p->block : behind;
        const double share = (double) (end - at) / step->tokens;
        at = end;
        if (block < m->first || block >= m->end) { continue; }
        double * to = row_of(m, block);
        for (size_t i = 0; i < p->row; i++) { to[i] += share * row[i]; }
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
    return add_evaluations(m, steps[first].evaluation, steps[*at - 1].end, row_of(m, block), error);
}

/* ---- some blocks ---- */

/* The first step that reaches into a block, and the first behind it. */
static uint32_t step_of(const struct making * m, uint32_t block) {
    return token_axis_find(m->axis, (uint64_t) block * m->p->block);
}

int pyramid_sum_block(const struct pyramid * p, const struct subject * subject, const struct token_axis * axis,
                      uint32_t block, double * row, struct tat_error * error) {
    struct making m = { .subject = subject, .axis = axis, .p = p, .first = block, .end = block + 1, .sums = row };
    const uint64_t behind = ((uint64_t) block + 1) * p->block;
    memset(row, 0, p->row * sizeof *row);
    for (uint32_t at = step_of(&m, block); at < axis->n_steps && axis->steps[at].first < behind;) {
        if (add_steps(&m, &at, error) != 0) { return -1; }
    }
    return 0;
}

/* ---- marks ---- */

static bool put_mark(struct pyramid * p, uint32_t before, uint32_t token, const uint64_t * reads) {
    const size_t bytes = pyramid_reads(p) * sizeof *reads;
    uint64_t * copy = p->n_marks < PYRAMID_MARKS_MOST ? malloc(bytes + 1) : NULL;
    if (!copy) { return false; }
    memcpy(copy, reads, bytes);
    p->marks[p->n_marks++] = (struct pyramid_mark){ before, token, copy };
    return true;
}

/* Keeps what was read by the steps before `at`, if those from `first` on passed a multiple of mark_tokens. */
static void mark(const struct making * m, struct pyramid * p, uint32_t first, uint32_t at) {
    const struct token_step * steps = m->axis->steps;
    const uint32_t token = at < m->axis->n_steps ? steps[at].first : m->axis->n_tokens;
    if (p->mark_tokens && steps[first].first / p->mark_tokens != token / p->mark_tokens) {
        put_mark(p, steps[at - 1].end, token, m->reads);
    }
}

/* ---- all blocks ---- */

/* Fills in the blocks from that of the last mark on, or all of them. */
static int fill(struct pyramid * p, const struct subject * subject, const struct token_axis * axis,
                pyramid_progress progress, void * user, struct tat_error * error) {
    const struct pyramid_mark * last = p->n_marks ? &p->marks[p->n_marks - 1] : NULL;
    struct making m = { .subject = subject, .axis = axis, .p = p, .end = p->n_blocks };
    m.first = last ? last->token / p->block : 0;
    m.sums = p->sums + (size_t) m.first * p->row;
    uint64_t * reads = calloc(pyramid_reads(p) + 1, sizeof *reads);
    if (!reads) { return tat_fail(error, TAT_ERROR_SYSTEM, "out of memory"); }
    if (last) { memcpy(reads, last->reads, pyramid_reads(p) * sizeof *reads); }
    int status = 0;
    for (uint32_t first, at = step_of(&m, m.first); at < axis->n_steps && status == 0;) {
        if (progress && !progress(axis->steps[at].first, axis->n_tokens, user)) {
            status = tat_fail(error, TAT_ERROR_NO, "the sums for pictures were not wanted any more");
            break;
        }
        first = at;
        m.reads = last && axis->steps[at].first < last->token ? NULL : reads; /* the mark has them already */
        status = add_steps(&m, &at, error);
        if (status == 0 && m.reads) { mark(&m, p, first, at); }
    }
    free(reads);
    return status == 0 ? tat_trace_trouble(subject->trace, error) : status;
}

static struct pyramid * filled(struct pyramid * p, const struct subject * subject, const struct token_axis * axis,
                               pyramid_progress progress, void * user, struct tat_error * error) {
    if (!p) { tat_fail(error, TAT_ERROR_SYSTEM, "out of memory"); }
    if (p && fill(p, subject, axis, progress, user, error) == 0) { return p; }
    pyramid_free(p);
    return NULL;
}

struct pyramid * pyramid_make(const struct subject * subject, const struct token_axis * axis, pyramid_progress progress,
                              void * user, struct tat_error * error) {
    return filled(pyramid_new(subject, axis), subject, axis, progress, user, error);
}

/* ---- a trace that grew ---- */

/* The blocks and marks of one are as the other's, as far as both have them. */
static bool is_like(const struct pyramid * p, const struct pyramid * old) {
    return p->block == old->block && p->mark_tokens == old->mark_tokens && p->n_tokens >= old->n_tokens &&
           memcmp(p->width, old->width, sizeof p->width) == 0 && p->slices.count == old->slices.count &&
           memcmp(p->slices.tensor, old->slices.tensor, p->slices.count * sizeof *p->slices.tensor) == 0;
}

/* Evaluations may have come to the old one's last step, so marks behind that are left out. */
static void take_over(struct pyramid * p, const struct pyramid * old) {
    const struct pyramid_mark * from = old->marks;
    for (uint32_t i = 0; i < old->n_marks && from[i].before <= old->last_step; i++) {
        if (!put_mark(p, from[i].before, from[i].token, from[i].reads)) { break; }
    }
    if (p->n_marks == 0) { return; }
    const uint32_t blocks = p->marks[p->n_marks - 1].token / p->block;
    memcpy(p->sums, old->sums, blocks * p->row * sizeof *p->sums);
}

struct pyramid * pyramid_extend(const struct pyramid * old, const struct subject * subject,
                                const struct token_axis * axis, struct tat_error * error) {
    struct pyramid * p = pyramid_new(subject, axis);
    if (p && is_like(p, old)) { take_over(p, old); }
    return filled(p, subject, axis, NULL, NULL, error);
}

/* ---- */

void pyramid_free(struct pyramid * pyramid) {
    if (!pyramid) { return; }
    for (uint32_t i = 0; i < pyramid->n_marks; i++) { free(pyramid->marks[i].reads); }
    free(pyramid->marks);
    free(pyramid->sums);
    slices_free(&pyramid->slices);
    free(pyramid);
}
