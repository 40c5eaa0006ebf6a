/* SPDX-License-Identifier: MIT */
#include "analysis/view/grid.h"

#include <stdlib.h>
#include <string.h>

#include "analysis/parts.h"

enum { AT_ONCE = 64 }; /* evaluations whose sums are made together */
#define CELLS_MOST ((uint64_t) 1 << 24)

/* ---- cells ---- */

/* How many of `length` a cell stands for, so that there are at most `most` cells. */
static uint64_t span_of(uint64_t length, uint32_t most) {
    return most ? length / most + (length % most != 0) : length;
}

static uint64_t cells_of(uint64_t length, uint64_t span) {
    return span ? length / span + (length % span != 0) : 0;
}

struct grid {
    const struct subject * subject;
    const struct grid_query * query;
    struct grid_tile * tile;
    uint64_t column_span, row_span;
    double * most; /* [row][column]: the value of the dominant tensor */
};

static int no_memory(struct tat_error * error) {
    return tat_fail(error, TAT_ERROR_SYSTEM, "out of memory for a picture; ask for fewer cells");
}

static bool lay_out(struct grid * g, uint64_t x_length, uint64_t y_length) {
    const struct grid_query * q = g->query;
    const uint64_t x1 = q->x1 < x_length ? q->x1 : x_length, y1 = q->y1 < y_length ? q->y1 : y_length;
    const uint64_t width = x1 > q->x0 ? x1 - q->x0 : 0, height = y1 > q->y0 ? y1 - q->y0 : 0;
    g->column_span = span_of(width, q->most_columns);
    g->row_span = span_of(height, q->most_rows);
    const uint64_t columns = cells_of(width, g->column_span), rows = cells_of(height, g->row_span);
    if (rows && columns > CELLS_MOST / rows) { return false; }
    const size_t cells = (size_t) (columns * rows);
    struct grid_tile * t = g->tile;
    *t = (struct grid_tile){ q->x0,
                             q->x0 + columns * g->column_span,
                             q->y0,
                             q->y0 + rows * g->row_span,
                             (uint32_t) columns,
                             (uint32_t) rows,
                             NULL,
                             NULL };
    t->values = calloc(cells + 1, sizeof *t->values);
    t->dominant = malloc((cells + 1) * sizeof *t->dominant);
    g->most = calloc(cells + 1, sizeof *g->most);
    if (!t->values || !t->dominant || !g->most) { return false; }
    memset(t->dominant, 0xff, cells * sizeof *t->dominant);
    return true;
}

void grid_tile_free(struct grid_tile * tile) {
    free(tile->values);
    free(tile->dominant);
    *tile = (struct grid_tile){ 0 };
}

/* False: the row is outside of the window. */
static bool cell_of(const struct grid * g, uint32_t column, uint64_t row, size_t * cell) {
    if (row < g->tile->y0 || row >= g->tile->y1) { return false; }
    *cell = (size_t) ((row - g->tile->y0) / g->row_span * g->tile->columns + column);
    return true;
}

static void propose(struct grid * g, size_t cell, uint32_t tensor, double value) {
    if (value <= g->most[cell]) { return; }
    g->most[cell] = value;
    g->tile->dominant[cell] = tensor;
}

/* ---- by token ---- */

/* The sums of one column of cells, by row of the data or by tensor. */
struct sums {
    enum tat_key key;
    const struct tat_trace * trace; /* or a part of the subject's */
    const uint32_t * number_in; /* by evaluation of the whole trace: that in the part, or UINT32_MAX; NULL: the same */
    uint32_t n_keys;
    double * of_column;
    uint64_t * made; /* AT_ONCE evaluations, from `first` on */
    uint32_t first, end;
};

static bool sums_begin(struct sums * s, const struct tat_trace * trace, enum tat_key key) {
    *s = (struct sums){ .key = key, .trace = trace, .n_keys = tat_matrix_columns(trace, key) };
    s->of_column = calloc((size_t) s->n_keys + 1, sizeof *s->of_column);
    s->made = malloc(((size_t) s->n_keys + 1) * AT_ONCE * sizeof *s->made);
    return s->of_column && s->made;
}

static void sums_free(struct sums * s) {
    free(s->of_column);
    free(s->made);
}

/* Adds a share of what an evaluation touched. */
static int sums_add(struct sums * s, enum tat_measure measure, uint32_t evaluation, double share,
                    struct tat_error * error) {
    uint32_t count;
    const uint32_t number = s->number_in ? s->number_in[evaluation] : evaluation;
    if (number == UINT32_MAX) { return 0; }
    if (number < s->first || number >= s->end) {
        tat_trace_evaluations(s->trace, &count);
        s->first = number;
        s->end = count - number < AT_ONCE ? count : number + AT_ONCE;
        if (tat_matrix(s->trace, s->key, measure, 0, s->first, s->end, s->made, error) != 0) { return -1; }
    }
    const uint64_t * row = s->made + (size_t) (number - s->first) * s->n_keys;
    for (uint32_t i = 0; i < s->n_keys; i++) { s->of_column[i] += (double) row[i] * share; }
    return 0;
}

/* Of tokens [t0, t1) of the axis. */
static int sums_of_tokens(struct sums * s, const struct grid * g, const struct token_axis * axis, uint64_t t0,
                          uint64_t t1, struct tat_error * error) {
    memset(s->of_column, 0, s->n_keys * sizeof *s->of_column);
    for (uint32_t i = token_axis_find(axis, t0); i < axis->n_steps && axis->steps[i].first < t1; i++) {
        const struct token_step * step = &axis->steps[i];
        const uint64_t first = step->first > t0 ? step->first : t0;
        const uint64_t behind = (uint64_t) step->first + step->tokens, end = behind < t1 ? behind : t1;
        const double share = (double) (end - first) / step->tokens;
        for (uint32_t e = step->evaluation; e < step->end; e++) {
            if (!is_inference(g->subject->evaluations[e].phase)) { continue; }
            if (sums_add(s, g->query->measure, e, share, error) != 0) { return -1; }
        }
    }
    return 0;
}

/* The row that a tensor's bytes count in. */
static uint64_t row_of_tensor(const struct grid * g, uint32_t tensor) {
    const struct tat_tensor * t = &g->subject->tensors[tensor];
    switch (g->query->y) {
        case GRID_BY_LAYER:
            return t->layer == TAT_NO_LAYER ? tat_matrix_columns(g->subject->trace, TAT_BY_LAYER) - 1 : t->layer;
        case GRID_BY_COMPONENT: return part_of(t);
        default: return tensor;
    }
}

static void fill_column(struct grid * g, uint32_t column, const struct sums * values, const struct sums * tensors) {
    size_t cell;
    for (uint32_t i = 0; i < values->n_keys; i++) {
        if (cell_of(g, column, i, &cell)) { g->tile->values[cell] += values->of_column[i]; }
    }
    for (uint32_t i = 0; tensors && i < tensors->n_keys; i++) {
        if (tensors->of_column[i] > 0 && cell_of(g, column, row_of_tensor(g, i), &cell)) {
            propose(g, cell, i, tensors->of_column[i]);
        }
    }
}

static const enum tat_key keys[] = { [GRID_BY_LAYER] = TAT_BY_LAYER,
                                     [GRID_BY_TENSOR] = TAT_BY_TENSOR,
                                     [GRID_BY_EXPERT] = TAT_BY_EXPERT,
                                     [GRID_BY_COMPONENT] = TAT_BY_COMPONENT };

/* `tensors`: NULL if nobody dominates, or the same as `values`. */
static int fill_by_token(struct grid * g, const struct token_axis * axis, struct sums * values, struct sums * tensors,
                         struct tat_error * error) {
    if (!lay_out(g, axis->n_tokens, values->n_keys)) { return no_memory(error); }
    for (uint32_t c = 0; c < g->tile->columns; c++) {
        const uint64_t t0 = g->tile->x0 + c * g->column_span, t1 = t0 + g->column_span;
        if (sums_of_tokens(values, g, axis, t0, t1, error) != 0) { return -1; }
        if (tensors && tensors != values && sums_of_tokens(tensors, g, axis, t0, t1, error) != 0) { return -1; }
        fill_column(g, c, values, tensors);
    }
    return 0;
}

static int by_token(struct grid * g, const struct token_axis * axis, struct tat_error * error) {
    struct sums values = { 0 }, tensors = { 0 };
    const struct tat_trace * trace = g->subject->trace;
    const bool of_tensors = g->query->y == GRID_BY_TENSOR, of_experts = g->query->y == GRID_BY_EXPERT;
    int status = no_memory(error);
    if (sums_begin(&values, trace, keys[g->query->y]) &&
        (of_tensors || of_experts || sums_begin(&tensors, trace, TAT_BY_TENSOR))) {
        status = fill_by_token(g, axis, &values, of_experts ? NULL : of_tensors ? &values : &tensors, error);
    }
    sums_free(&values);
    sums_free(&tensors);
    return status;
}

/* ---- experts of a layer by token ---- */

/* The numbers that evaluations have in a part of the trace. NULL: no memory. */
static uint32_t * numbers_in(const struct subject * subject, const struct tat_trace * part) {
    uint32_t count;
    uint32_t * number = malloc(((size_t) subject->n_evaluations + 1) * sizeof *number);
    if (!number) { return NULL; }
    memset(number, 0xff, subject->n_evaluations * sizeof *number);
    tat_trace_evaluations(part, &count);
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t whole = tat_trace_number_in_whole(part, i);
        if (whole < subject->n_evaluations) { number[whole] = i; }
    }
    return number;
}

static int experts_of_layer(struct grid * g, const struct token_axis * axis, struct tat_error * error) {
    const uint32_t layer = (uint32_t) g->query->layer;
    const struct tat_scope scope = { .layer_first = layer, .layer_end = layer + 1 };
    struct tat_trace * part = tat_trace_of_scope(g->subject->trace, &scope, error);
    struct sums values = { 0 };
    if (!part) { return -1; }
    uint32_t * number = numbers_in(g->subject, part);
    int status = no_memory(error);
    if (number && sums_begin(&values, part, TAT_BY_EXPERT)) {
        values.number_in = number;
        status = fill_by_token(g, axis, &values, NULL, error);
    }
    sums_free(&values);
    free(number);
    tat_trace_close(part);
    return status;
}

/* ---- layers and experts ---- */

/* By layer, expert and tensor; a stack has few tensors, so they are found by looking. */
static bool add_expert(const struct tat_tally * t, void * user) {
    struct grid * g = user;
    for (size_t i = 0; i < t->count; i++) {
        const struct tat_access * a = &t->records[i];
        const uint64_t column = (a->layer - g->tile->x0) / (g->column_span ? g->column_span : 1);
        size_t cell;
        if (a->expert == TAT_NO_EXPERT || !a->bytes || !is_inference(phase_of(a)) || a->layer == TAT_NO_LAYER ||
            a->layer < g->tile->x0 || a->layer >= g->tile->x1 || !cell_of(g, (uint32_t) column, a->expert, &cell)) {
            continue;
        }
        const double value = (double) t->evaluations * (g->query->measure == TAT_SUM_BYTES ? (double) a->bytes : 1);
        g->tile->values[cell] += value;
        propose(g, cell, g->subject->tensors[a->tensor].weight, value);
    }
    return true;
}

static int layers_and_experts(struct grid * g, struct tat_error * error) {
    const struct tat_trace * trace = g->subject->trace;
    if (!lay_out(g, layer_span(g->subject), tat_matrix_columns(trace, TAT_BY_EXPERT))) { return no_memory(error); }
    return subject_tally(g->subject, add_expert, g, error) < 0 ? -1 : 0;
}

/* ---- */

int view_grid(const struct subject * subject, const struct grid_query * query, struct grid_tile * tile,
              struct tat_error * error) {
    struct grid g = { .subject = subject, .query = query, .tile = tile };
    struct token_axis axis = { 0 };
    int status;
    *tile = (struct grid_tile){ 0 };
    if (query->y == GRID_BY_EXPERT && query->measure == TAT_SUM_NS) {
        return tat_fail(error, TAT_ERROR_NO,
                        "an operation reads several experts at once, so none has a time of its own");
    }
    if (query->x == GRID_LAYERS && query->y != GRID_BY_EXPERT) {
        return tat_fail(error, TAT_ERROR_NO, "by layer there are sums of experts only");
    }
    if (query->x == GRID_LAYERS) {
        status = layers_and_experts(&g, error);
    } else if (!token_axis_begin(&axis, subject)) {
        status = no_memory(error);
    } else if (query->y == GRID_BY_EXPERT && query->layer >= 0) {
        status = experts_of_layer(&g, &axis, error);
    } else {
        status = by_token(&g, &axis, error);
    }
    token_axis_free(&axis);
    free(g.most);
    if (status != 0) { grid_tile_free(tile); }
    return status;
}
