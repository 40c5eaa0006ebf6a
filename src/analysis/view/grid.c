/* SPDX-License-Identifier: MIT */
#include "analysis/view/grid.h"

#include <stdlib.h>
#include <string.h>

#include "analysis/parts.h"
#include "analysis/view/grid_parts.h"

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

bool grid_lay_out(struct grid * g, uint64_t x_length, uint64_t y_length, uint64_t unit) {
    const struct grid_query * q = g->query;
    const uint64_t x0 = q->x0 / unit * unit;
    const uint64_t x1 = q->x1 < x_length ? q->x1 : x_length, y1 = q->y1 < y_length ? q->y1 : y_length;
    const uint64_t width = x1 > q->x0 ? x1 - x0 : 0, height = y1 > q->y0 ? y1 - q->y0 : 0;
    g->column_span = span_of(width, q->most_columns, unit);
    g->row_span = span_of(height, q->most_rows, 1);
    const uint64_t columns = cells_of(width, g->column_span), rows = cells_of(height, g->row_span);
    const uint64_t behind = x0 + columns * g->column_span, below = q->y0 + rows * g->row_span;
    return find_rows(g, y_length, below) && grid_tile_begin(g->tile, x0, behind, q->y0, below, columns, rows);
}

bool grid_begin_band(struct grid * g) {
    return tile_band_begin(&g->band, g->tile, g->tile->columns, 0, g->tile->columns);
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
    if (!grid_lay_out(g, g->layers, tat_matrix_columns(trace, TAT_BY_EXPERT), 1) || !grid_begin_band(g)) {
        return grid_no_memory(error);
    }
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
    } else {
        status = grid_by_token(g, &axis, error);
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
