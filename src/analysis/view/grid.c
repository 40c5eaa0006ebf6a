/* SPDX-License-Identifier: MIT */
#include "analysis/view/grid.h"

#include <stdlib.h>
#include <string.h>

#include "analysis/parts.h"
#include "analysis/view/grid_parts.h"
#include "format/matrix.h"

enum { AT_ONCE = 64 }; /* evaluations whose sums are made together */

int grid_no_memory(struct tat_error * error) {
    return tat_fail(error, TAT_ERROR_SYSTEM, "out of memory for a picture; ask for fewer cells");
}

/* ---- cells ---- */

/* How many of `length` a cell stands for, a multiple of `unit`, so that there are at most `most` cells. */
static uint64_t span_of(uint64_t length, uint32_t most, uint64_t unit) {
    const uint64_t span = most ? length / most + (length % most != 0) : length;
    return span / unit * unit + (span % unit ? unit : 0);
}

static uint64_t cells_of(uint64_t length, uint64_t span) {
    return span ? length / span + (length % span != 0) : 0;
}

/* False: no memory. */
static bool find_rows(struct grid * g, uint64_t y_length, uint64_t below) {
    g->row_of = malloc((y_length + 1) * sizeof *g->row_of);
    g->n_rows = g->row_of ? y_length : 0;
    for (uint64_t i = 0; i < g->n_rows; i++) {
        g->row_of[i] = i < g->query->y0 || i >= below ? GRID_NO_ROW : (uint32_t) ((i - g->query->y0) / g->row_span);
    }
    return g->row_of;
}

bool grid_lay_out(struct grid * g, uint64_t x_length, uint64_t y_length, uint64_t unit, uint32_t of_band) {
    const struct grid_query * q = g->query;
    const uint64_t x0 = q->x0 / unit * unit;
    const uint64_t x1 = q->x1 < x_length ? q->x1 : x_length, y1 = q->y1 < y_length ? q->y1 : y_length;
    const uint64_t width = x1 > q->x0 ? x1 - x0 : 0, height = y1 > q->y0 ? y1 - q->y0 : 0;
    g->column_span = span_of(width, q->most_columns, unit);
    g->row_span = span_of(height, q->most_rows, 1);
    const uint64_t columns = cells_of(width, g->column_span), rows = cells_of(height, g->row_span);
    const uint64_t behind = x0 + columns * g->column_span, below = q->y0 + rows * g->row_span;
    return find_rows(g, y_length, below) && grid_tile_begin(g->tile, x0, behind, q->y0, below, columns, rows) &&
           tile_band_begin(&g->band, g->tile, of_band ? of_band : g->tile->columns);
}

/* The row that a tensor's bytes count in. */
static uint64_t row_of_tensor(const struct grid * g, uint32_t tensor) {
    const struct tat_tensor * t = &g->subject->tensors[tensor];
    switch (g->query->y) {
        case GRID_BY_LAYER: return t->layer == TAT_NO_LAYER ? g->layers : t->layer;
        case GRID_BY_COMPONENT: return part_of(t);
        default: return tensor;
    }
}

void grid_fill_column(struct grid * g, uint32_t column, const double * values, uint32_t n_values,
                      const double * tensors, uint32_t n_tensors) {
    size_t cell;
    for (uint32_t i = 0; i < n_values; i++) {
        if (grid_cell(g, column, i, &cell)) { g->band.values[cell] += values[i]; }
    }
    for (uint32_t i = 0; tensors && i < n_tensors; i++) {
        if (tensors[i] > 0 && grid_cell(g, column, row_of_tensor(g, i), &cell)) {
            tile_band_propose(&g->band, cell, i, tensors[i]);
        }
    }
    tile_band_next(&g->band, column);
}

/* ---- by token ---- */

/* The sums of one column of cells, by the rows of the picture and by tensor. Either may be missing: rows that are
 * tensors or components have the tensors' sums. */
struct sums {
    const struct tat_trace * trace; /* or a part of the subject's */
    const uint32_t * number_in; /* by evaluation of the whole trace: that in the part, or UINT32_MAX; NULL: the same */
    struct by_key {
        enum tat_key key;
        uint32_t n; /* 0: missing */
        double * of_column;
        uint64_t * made; /* AT_ONCE evaluations, from `first` on */
    } by[2];
    uint32_t first, end;
};
enum { OF_ROWS, OF_TENSORS };

static bool sums_begin(struct sums * s, unsigned which, enum tat_key key) {
    struct by_key * b = &s->by[which];
    *b = (struct by_key){ .key = key, .n = tat_matrix_columns(s->trace, key) };
    b->of_column = calloc((size_t) b->n + 1, sizeof *b->of_column);
    b->made = malloc(((size_t) b->n + 1) * AT_ONCE * sizeof *b->made);
    return b->of_column && b->made;
}

static void sums_free(struct sums * s) {
    for (unsigned i = 0; i < 2; i++) {
        free(s->by[i].of_column);
        free(s->by[i].made);
    }
}

static int make(struct sums * s, enum tat_measure measure, uint32_t number, struct tat_error * error) {
    const struct by_key *rows = &s->by[OF_ROWS], *tensors = &s->by[OF_TENSORS], *one = rows->n ? rows : tensors;
    uint32_t count;
    tat_trace_evaluations(s->trace, &count);
    s->first = number;
    s->end = count - number < AT_ONCE ? count : number + AT_ONCE;
    if (rows->n && tensors->n) {
        return matrix_of_layers_and_tensors(s->trace, measure, s->first, s->end, rows->made, tensors->made, error);
    }
    return tat_matrix(s->trace, one->key, measure, 0, s->first, s->end, one->made, error);
}

/* Adds a share of what an evaluation touched. */
static int sums_add(struct sums * s, enum tat_measure measure, uint32_t evaluation, double share,
                    struct tat_error * error) {
    const uint32_t number = s->number_in ? s->number_in[evaluation] : evaluation;
    if (number == UINT32_MAX) { return 0; }
    if ((number < s->first || number >= s->end) && make(s, measure, number, error) != 0) { return -1; }
    for (unsigned i = 0; i < 2; i++) {
        const struct by_key * b = &s->by[i];
        const uint64_t * row = b->n ? b->made + (size_t) (number - s->first) * b->n : NULL;
        for (uint32_t k = 0; k < b->n; k++) { b->of_column[k] += (double) row[k] * share; }
    }
    return 0;
}

/* Of tokens [t0, t1) of the axis. */
static int sums_of_tokens(struct sums * s, const struct grid * g, const struct token_axis * axis, uint64_t t0,
                          uint64_t t1, struct tat_error * error) {
    for (unsigned i = 0; i < 2; i++) {
        if (s->by[i].n) { memset(s->by[i].of_column, 0, s->by[i].n * sizeof *s->by[i].of_column); }
    }
    for (uint32_t i = token_axis_find(axis, t0); i < axis->n_steps && axis->steps[i].first < t1; i++) {
        const struct token_step * step = &axis->steps[i];
        const uint64_t first = step->first > t0 ? step->first : t0;
        const uint64_t behind = (uint64_t) step->first + step->tokens, end = behind < t1 ? behind : t1;
        const double share = (double) (end - first) / step->tokens;
        for (uint32_t e = step->evaluation; e < step->end; e = next_inference(g->subject, e + 1, step->end)) {
            if (sums_add(s, g->query->measure, e, share, error) != 0) { return -1; }
        }
    }
    return 0;
}

static int fill_by_token(struct grid * g, const struct token_axis * axis, struct sums * s, struct tat_error * error) {
    const struct by_key *rows = &s->by[OF_ROWS], *tensors = &s->by[OF_TENSORS];
    const bool of_parts = g->query->y == GRID_BY_COMPONENT;
    double parts[TAT_COMPONENT_COUNT + 1];
    const double * values = of_parts ? parts : rows->n ? rows->of_column : tensors->of_column;
    const uint32_t n = of_parts ? TAT_COMPONENT_COUNT + 1 : rows->n ? rows->n : tensors->n;
    if (!grid_lay_out(g, axis->n_tokens, n, 1, TILE_BAND)) { return grid_no_memory(error); }
    for (uint32_t c = 0; c < g->tile->columns; c++) {
        const uint64_t t0 = g->tile->x0 + c * g->column_span;
        if (sums_of_tokens(s, g, axis, t0, t0 + g->column_span, error) != 0) { return -1; }
        memset(parts, 0, sizeof parts);
        for (uint32_t i = 0; of_parts && i < tensors->n; i++) {
            parts[part_of(&g->subject->tensors[i])] += tensors->of_column[i];
        }
        grid_fill_column(g, c, values, n, tensors->of_column, tensors->n);
    }
    return 0;
}

static int by_token(struct grid * g, const struct token_axis * axis, struct tat_error * error) {
    struct sums s = { .trace = g->subject->trace };
    const bool needs_rows = g->query->y == GRID_BY_LAYER || g->query->y == GRID_BY_EXPERT;
    const bool good =
        (!needs_rows || sums_begin(&s, OF_ROWS, pyramid_matrix_key((enum pyramid_key) g->query->y))) &&
        (g->query->y == GRID_BY_EXPERT || sums_begin(&s, OF_TENSORS, TAT_BY_TENSOR));
    const int status = good ? fill_by_token(g, axis, &s, error) : grid_no_memory(error);
    sums_free(&s);
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
    if (!part) { return -1; }
    uint32_t * number = numbers_in(g->subject, part);
    struct sums s = { .trace = part, .number_in = number };
    const bool good = number && sums_begin(&s, OF_ROWS, TAT_BY_EXPERT);
    const int status = good ? fill_by_token(g, axis, &s, error) : grid_no_memory(error);
    sums_free(&s);
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
            a->layer < g->tile->x0 || a->layer >= g->tile->x1 || !grid_cell(g, (uint32_t) column, a->expert, &cell)) {
            continue;
        }
        const double value = (double) t->evaluations * (g->query->measure == TAT_SUM_BYTES ? (double) a->bytes : 1);
        g->band.values[cell] += value;
        tile_band_propose(&g->band, cell, g->subject->tensors[a->tensor].weight, value);
    }
    return true;
}

static int layers_and_experts(struct grid * g, struct tat_error * error) {
    const struct tat_trace * trace = g->subject->trace;
    if (!grid_lay_out(g, g->layers, tat_matrix_columns(trace, TAT_BY_EXPERT), 1, 0)) { return grid_no_memory(error); }
    if (subject_tally(g->subject, add_expert, g, error) < 0) { return -1; }
    if (g->tile->columns) { tile_band_next(&g->band, g->tile->columns - 1); }
    return 0;
}

/* ---- */

static int from_trace(struct grid * g, struct tat_error * error) {
    struct token_axis axis;
    int status;
    if (g->query->x == GRID_LAYERS) { return layers_and_experts(g, error); }
    if (!token_axis_begin(&axis, g->subject)) {
        status = grid_no_memory(error);
    } else if (g->query->y == GRID_BY_EXPERT && g->query->layer >= 0) {
        status = experts_of_layer(g, &axis, error);
    } else {
        status = by_token(g, &axis, error);
    }
    token_axis_free(&axis);
    return status;
}

int view_grid(const struct subject * subject, const struct grid_query * query, const struct pyramid * pyramid,
              struct grid_tile * tile, struct tat_error * error) {
    struct grid g = {
        .subject = subject, .query = query, .tile = tile, .pyramid = pyramid, .layers = layer_span(subject)
    };
    *tile = (struct grid_tile){ 0 };
    if (query->y == GRID_BY_EXPERT && query->measure == TAT_SUM_NS) {
        return tat_fail(error, TAT_ERROR_NO,
                        "an operation reads several experts at once, so none has a time of its own");
    }
    if (query->x == GRID_LAYERS && query->y != GRID_BY_EXPERT) {
        return tat_fail(error, TAT_ERROR_NO, "by layer there are sums of experts only");
    }
    const int status = grid_has_blocks(&g) ? grid_from_blocks(&g, error) : from_trace(&g, error);
    tile_band_free(&g.band);
    free(g.row_of);
    if (status != 0) { grid_tile_free(tile); }
    return status;
}
