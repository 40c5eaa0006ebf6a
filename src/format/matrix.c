/* SPDX-License-Identifier: MIT
 *
 * Evaluations against what they touch. The row of a plan is made once; of an evaluation only what varies is added, and
 * the times, which have a column for each callback.
 */
#include "format/matrix.h"

#include <stdlib.h>
#include <string.h>

#include "format/expand_state.h"
#include "format/expert_stack.h"

enum { KEPT = 64 }; /* rows of plans; few graphs take turns, and each is evaluated many times in a row */

struct kept {
    const struct plan * plan;
    uint64_t * row;       /* sums of what does not vary */
    uint32_t * column_of; /* by callback, for times */
};

/* Sums by one key. */
struct side {
    enum tat_key by;
    uint32_t columns;
    struct kept kept[KEPT]; /* by plan's address */
    uint64_t * sums;        /* the caller's: [evaluation][column] */
    uint64_t * row;         /* of the evaluation at hand */
};

struct matrix {
    struct expansion x;
    enum tat_measure measure;
    uint32_t kinds;
    struct side sides[2];
    unsigned n_sides;
};

#define NO_COLUMN UINT32_MAX

/* ---- columns ---- */

static uint32_t layers_with(uint32_t layers, uint16_t layer) {
    return layer != TAT_NO_LAYER && layer >= layers ? layer + 1u : layers;
}

/* The columns of any tensor, and of any entry of a graph. */
static uint32_t count_layers(const struct tat_trace * trace) {
    uint32_t layers = 0;
    for (uint32_t i = 0; i < trace->tensors.count; i++) {
        layers = layers_with(layers, LIST(struct tat_tensor, trace->tensors)[i].layer);
    }
    for (uint32_t i = 0; i < trace->templates.count; i++) {
        const struct tat_template * t = &LIST(struct tat_template, trace->templates)[i];
        for (uint32_t e = 0; e < t->n_leaves + t->n_nodes; e++) { layers = layers_with(layers, t->entries[e].layer); }
    }
    return layers;
}

static uint32_t count_experts(const struct tat_trace * trace) {
    uint64_t experts = 0;
    for (uint32_t i = 0; i < trace->templates.count; i++) {
        const struct tat_template * t = &LIST(struct tat_template, trace->templates)[i];
        for (uint32_t n = 0; n < t->n_nodes; n++) {
            const uint64_t stack = expert_stack_of(t, &t->entries[t->n_leaves + n]).experts;
            if (stack > experts) { experts = stack; }
        }
    }
    return experts < TAT_NO_EXPERT ? (uint32_t) experts : TAT_NO_EXPERT;
}

uint32_t tat_matrix_columns(const struct tat_trace * trace, enum tat_key by) {
    switch (by) {
        case TAT_BY_LAYER: return count_layers(trace) + 1;
        case TAT_BY_TENSOR: return trace->tensors.count;
        case TAT_BY_COMPONENT: return TAT_COMPONENT_COUNT + 1;
        case TAT_BY_OPERATION: return trace->ops.count;
        case TAT_BY_EXPERT: return count_experts(trace);
        default: return 0;
    }
}

static const struct tat_tensor * tensor_of(const struct matrix * m, const struct tat_access * a) {
    return &LIST(struct tat_tensor, m->x.trace->tensors)[a->tensor];
}

static uint32_t column_of(const struct matrix * m, const struct side * s, const struct tat_access * a) {
    const struct tat_tensor * t = tensor_of(m, a);
    uint32_t column = NO_COLUMN;
    switch (s->by) {
        case TAT_BY_LAYER: column = a->layer == TAT_NO_LAYER ? s->columns - 1 : a->layer; break;
        case TAT_BY_TENSOR: column = t->weight; break;
        case TAT_BY_COMPONENT:
            column = t->kind == TAT_TENSOR_WEIGHT || t->kind == TAT_TENSOR_STATE ? (uint32_t) t->component
                                                                                 : TAT_COMPONENT_COUNT;
            break;
        case TAT_BY_OPERATION: column = a->op; break;
        case TAT_BY_EXPERT: column = a->expert; break;
        default: break;
    }
    return column < s->columns ? column : NO_COLUMN;
}

/* ---- sums ---- */

static void add(const struct matrix * m, const struct side * s, uint64_t * row, const struct tat_access * a) {
    if (a->bytes == 0 || (m->kinds && !(m->kinds >> tensor_of(m, a)->kind & 1))) { return; }
    const uint32_t column = column_of(m, s, a);
    if (column != NO_COLUMN) { row[column] += m->measure == TAT_SUM_BYTES ? a->bytes : 1; }
}

static bool add_varying(const struct tat_access * records, size_t count, void * user) {
    const struct matrix * m = user;
    for (unsigned i = 0; i < m->n_sides; i++) {
        for (size_t r = 0; r < count; r++) { add(m, &m->sides[i], m->sides[i].row, &records[r]); }
    }
    return true;
}

/* Adds what does not vary in the first `n` records. */
static void add_fixed(const struct matrix * m, const struct side * s, const struct plan * plan, uint32_t n,
                      uint64_t * row) {
    uint32_t at = 0;
    for (uint32_t v = 0; v <= plan->n_varies; v++) {
        const uint32_t end = v < plan->n_varies && plan->varies[v].record < n ? plan->varies[v].record : n;
        for (; at < end; at++) { add(m, s, row, &plan->records[at]); }
        if (v < plan->n_varies) { at = plan->varies[v].record + plan->varies[v].n_records; }
    }
}

enum { FEW = 16 };
#define NOT_AT_ONCE UINT32_MAX

static bool is_one(const struct tat_entry * e) {
    return e->ne[0] == 1 && e->ne[1] == 1 && e->ne[2] == 1 && e->ne[3] == 1;
}

/* Of the ids of one row or of a few experts, counts those that differ. */
static uint32_t count_named(const struct vary * v, const struct tat_template * t, const int64_t * id, size_t count) {
    const struct tat_entry * e = &t->entries[v->entry];
    const uint64_t n = e->ne[use_dimension(v->use)];
    const bool one_row =
        v->use == USE_ROWS && count == 1 && is_one(&t->entries[v->ids]) && e->ne[2] == 1 && e->ne[3] == 1;
    const bool experts = (v->use == USE_EXPERTS || v->use == USE_BIASES) && count && count <= FEW;
    uint32_t unique = 0;
    if (v->one.n_levels || !v->one.run_bytes || !(one_row || experts)) { return NOT_AT_ONCE; }
    for (size_t i = 0; i < count; i++) {
        size_t before = 0;
        while (before < i && id[before] != id[i]) { before++; }
        unique += before == i && id[i] >= 0 && (uint64_t) id[i] < n;
    }
    return unique;
}

/* For one operand, all keys but experts are the same. */
static bool add_at_once(const struct matrix * m, const struct plan * plan, const struct vary * v,
                        const struct tat_template * t) {
    const struct tat_access * a = &plan->records[v->record];
    if (m->sides[0].by == TAT_BY_EXPERT || v->capture == UINT32_MAX || v->n_records != 1) { return false; }
    const struct ids ids = m->x.ids[v->capture];
    const uint32_t n = count_named(v, t, m->x.values + ids.first, ids.count);
    if (n == NOT_AT_ONCE) { return false; }
    if (m->kinds && !(m->kinds >> tensor_of(m, a)->kind & 1)) { return true; }
    for (unsigned i = 0; i < m->n_sides; i++) {
        const uint32_t column = column_of(m, &m->sides[i], a);
        if (column != NO_COLUMN) { m->sides[i].row[column] += m->measure == TAT_SUM_BYTES ? n * v->one.run_bytes : n; }
    }
    return true;
}

static bool add_varied(struct matrix * m, uint32_t number, const struct plan * plan, uint32_t n) {
    const struct tat_evaluation * e = &LIST(struct tat_evaluation, m->x.trace->evaluations)[number];
    const struct tat_template * t = &LIST(struct tat_template, m->x.trace->templates)[e->template_id];
    if (!expansion_at(&m->x, number) || !expansion_ids(&m->x, number)) { return false; }
    for (uint32_t i = 0; i < plan->n_varies && plan->varies[i].record < n; i++) {
        const struct vary * v = &plan->varies[i];
        if (add_at_once(m, plan, v, t)) { continue; }
        for (uint32_t r = 0; r < v->n_records; r++) {
            if (!expansion_varying(&m->x, t, v, &plan->records[v->record + r])) { return false; }
        }
    }
    expansion_flush(&m->x);
    return true;
}

/* ---- times ---- */

static void set_columns(const struct matrix * m, const struct side * s, const struct plan * plan, uint32_t * columns) {
    const bool owners = s->by == TAT_BY_TENSOR || s->by == TAT_BY_COMPONENT;
    for (uint32_t i = 0; i < plan->n_callbacks; i++) {
        const uint32_t record = owners ? plan->timed[i].owner : plan->timed[i].first;
        columns[i] = record == NO_RECORD ? NO_COLUMN : column_of(m, s, &plan->records[record]);
    }
}

static void add_times(const struct matrix * m, const uint32_t * columns, uint32_t n, uint64_t * row) {
    for (uint32_t i = 0; i < n; i++) {
        if (columns[i] != NO_COLUMN) { row[columns[i]] += duration_of(m->x.start_ns, i); }
    }
}

/* ---- rows ---- */

static struct kept * keep(const struct matrix * m, struct side * s, const struct plan * plan) {
    struct kept * k = &s->kept[(uintptr_t) plan / sizeof(max_align_t) % KEPT];
    if (k->plan == plan) { return k; }
    free(k->row);
    free(k->column_of);
    *k = (struct kept){ .plan = plan };
    if (m->measure == TAT_SUM_NS) {
        k->column_of = malloc(((size_t) plan->n_callbacks + 1) * sizeof *k->column_of);
        if (k->column_of) { set_columns(m, s, plan, k->column_of); }
    } else {
        k->row = calloc((size_t) s->columns + 1, sizeof *k->row);
        if (k->row) { add_fixed(m, s, plan, plan->n_records, k->row); }
    }
    if (k->row || k->column_of) { return k; }
    k->plan = NULL;
    return NULL;
}

/* The times of the first `n_times` callbacks, or what does not vary. False: no memory. */
static bool begin_row(const struct matrix * m, struct side * s, const struct tat_evaluation * e,
                      const struct plan * plan, uint32_t n_times) {
    const struct kept * k = keep(m, s, plan);
    if (!k) { return false; }
    if (m->measure == TAT_SUM_NS) {
        memset(s->row, 0, s->columns * sizeof *s->row);
        add_times(m, k->column_of, n_times < plan->n_callbacks ? n_times : plan->n_callbacks, s->row);
    } else if (e->n_stamps >= plan->n_callbacks) {
        memcpy(s->row, k->row, s->columns * sizeof *s->row);
    } else {
        memset(s->row, 0, s->columns * sizeof *s->row);
        add_fixed(m, s, plan, plan_records_before(plan, e->n_stamps), s->row);
    }
    return true;
}

static bool add_evaluation(struct matrix * m, uint32_t number) {
    const struct tat_evaluation * e = &LIST(struct tat_evaluation, m->x.trace->evaluations)[number];
    if (e->flags & (TAT_EVALUATION_UNMATCHED | TAT_EVALUATION_OUTSIDE)) {
        for (unsigned i = 0; i < m->n_sides; i++) {
            memset(m->sides[i].row, 0, m->sides[i].columns * sizeof *m->sides[i].row);
        }
        return true;
    }
    const struct plan * plan = plan_of(m->x.trace, e->template_id, e->rule);
    uint32_t n_times = 0;
    if (!plan) { return false; }
    if (m->measure == TAT_SUM_NS) {
        if (!expansion_at(&m->x, number)) { return false; }
        n_times = expansion_times(&m->x, number);
        if (!m->x.start_ns) { return false; }
    }
    for (unsigned i = 0; i < m->n_sides; i++) {
        if (!begin_row(m, &m->sides[i], e, plan, n_times)) { return false; }
    }
    const bool whole = e->n_stamps >= plan->n_callbacks;
    return m->measure == TAT_SUM_NS || plan->n_varies == 0 ||
           add_varied(m, number, plan, whole ? plan->n_records : plan_records_before(plan, e->n_stamps));
}

/* The keys and sums of all sides are set. */
static int fill(struct matrix * m, const struct tat_trace * trace, uint32_t first, uint32_t last,
                struct tat_error * error) {
    bool good = expansion_begin(&m->x, trace, add_varying, m);
    for (unsigned i = 0; i < m->n_sides; i++) { m->sides[i].columns = tat_matrix_columns(trace, m->sides[i].by); }
    if (last > trace->evaluations.count) { last = trace->evaluations.count; }
    for (uint32_t e = first; e < last && good && m->sides[0].columns; e++) {
        for (unsigned i = 0; i < m->n_sides; i++) {
            m->sides[i].row = m->sides[i].sums + (size_t) (e - first) * m->sides[i].columns;
        }
        good = add_evaluation(m, e);
    }
    for (unsigned i = 0; i < KEPT * m->n_sides; i++) {
        free(m->sides[i / KEPT].kept[i % KEPT].row);
        free(m->sides[i / KEPT].kept[i % KEPT].column_of);
    }
    const int status = good ? 0 : expansion_fail(&m->x, error);
    expansion_end(&m->x);
    return status;
}

int tat_matrix(const struct tat_trace * trace, enum tat_key by, enum tat_measure measure, uint32_t kinds,
               uint32_t first, uint32_t last, uint64_t * sums, struct tat_error * error) {
    if ((unsigned) by >= TAT_KEY_COUNT || (unsigned) measure >= TAT_MEASURE_COUNT ||
        (measure == TAT_SUM_NS && (kinds || by == TAT_BY_EXPERT))) {
        return tat_fail(error, TAT_ERROR_USAGE, "no such sums: by %d, measure %d, kinds %#x", (int) by, (int) measure,
                        kinds);
    }
    struct matrix m = { .measure = measure, .kinds = kinds, .sides = { { .by = by, .sums = sums } }, .n_sides = 1 };
    return fill(&m, trace, first, last, error);
}

int matrix_of_layers_and_tensors(const struct tat_trace * trace, enum tat_measure measure, uint32_t first,
                                 uint32_t last, uint64_t * of_layers, uint64_t * of_tensors,
                                 struct tat_error * error) {
    struct matrix m = { .measure = measure,
                        .sides = { { .by = TAT_BY_LAYER, .sums = of_layers },
                                   { .by = TAT_BY_TENSOR, .sums = of_tensors } },
                        .n_sides = 2 };
    return fill(&m, trace, first, last, error);
}
