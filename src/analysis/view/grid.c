/* SPDX-License-Identifier: MIT */
#include "analysis/view/grid.h"

#include <stdlib.h>
#include <string.h>

#include "analysis/parts.h"
#include "analysis/slices.h"

enum { AT_ONCE = 64, COARSE = 8 }; /* evaluations whose sums are made together */

/* ---- cells ---- */

/* How many of `length` a cell stands for, a multiple of `unit`, so that there are at most `most` cells. */
static uint64_t span_of(uint64_t length, uint32_t most, uint64_t unit) {
    const uint64_t span = most ? length / most + (length % most != 0) : length;
    return span / unit * unit + (span % unit ? unit : 0);
}

static uint64_t cells_of(uint64_t length, uint64_t span) {
    return span ? length / span + (length % span != 0) : 0;
}

struct grid {
    const struct subject * subject;
    const struct grid_query * query;
    struct grid_tile * tile;
    const struct pyramid * pyramid; /* NULL: sums are made from the trace */
    uint32_t layers;                /* counting them takes a look at every graph */
    uint64_t column_span, row_span;
    double * most; /* [row][column]: the value of the dominant tensor */
};

static int no_memory(struct tat_error * error) {
    return tat_fail(error, TAT_ERROR_SYSTEM, "out of memory for a picture; ask for fewer cells");
}

/* Columns begin at multiples of `unit`. */
static bool lay_out(struct grid * g, uint64_t x_length, uint64_t y_length, uint64_t unit) {
    const struct grid_query * q = g->query;
    const uint64_t x0 = q->x0 / unit * unit;
    const uint64_t x1 = q->x1 < x_length ? q->x1 : x_length, y1 = q->y1 < y_length ? q->y1 : y_length;
    const uint64_t width = x1 > q->x0 ? x1 - x0 : 0, height = y1 > q->y0 ? y1 - q->y0 : 0;
    g->column_span = span_of(width, q->most_columns, unit);
    g->row_span = span_of(height, q->most_rows, 1);
    const uint64_t columns = cells_of(width, g->column_span), rows = cells_of(height, g->row_span);
    const uint64_t behind = x0 + columns * g->column_span, below = q->y0 + rows * g->row_span;
    if (!grid_tile_begin(g->tile, x0, behind, q->y0, below, columns, rows)) { return false; }
    g->most = calloc((size_t) (columns * rows) + 1, sizeof *g->most);
    return g->most;
}

/* Where a cell is. False: the row is outside of the window. */
static bool cell_of(const struct grid * g, uint32_t column, uint64_t row, size_t * cell) {
    if (row < g->tile->y0 || row >= g->tile->y1) { return false; }
    *cell = (size_t) column * g->tile->rows + (size_t) ((row - g->tile->y0) / g->row_span);
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
        case GRID_BY_LAYER: return t->layer == TAT_NO_LAYER ? g->layers : t->layer;
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
    if (!lay_out(g, axis->n_tokens, values->n_keys, 1)) { return no_memory(error); }
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

/* ---- by token, from blocks of tokens ---- */

/* Blocks are good enough where they leave an eighth of the columns asked for; what is narrower costs little. */
static bool has_blocks(const struct grid * g, enum pyramid_key key) {
    const struct pyramid * p = g->pyramid;
    const struct grid_query * q = g->query;
    if (!p || !p->width[key] || (q->x == GRID_LAYERS) != (key == PYRAMID_BY_LAYER_EXPERT && q->layer < 0)) {
        return false;
    }
    const uint64_t x1 = q->x1 < p->n_tokens ? q->x1 : p->n_tokens, width = x1 > q->x0 ? x1 - q->x0 : 0;
    return q->x == GRID_LAYERS || width / p->block >= (q->most_columns + COARSE - 1) / COARSE;
}

/* Sums of `width` columns of a key, from the first, over the blocks of a column of cells. */
static void sum_blocks(const struct grid * g, uint32_t column, enum pyramid_key key, uint32_t first, uint32_t width,
                       double * sums) {
    const struct pyramid * p = g->pyramid;
    const uint64_t t0 = g->tile->x0 + column * g->column_span;
    memset(sums, 0, width * sizeof *sums);
    for (uint64_t b = t0 / p->block; b < (t0 + g->column_span) / p->block && b < p->n_blocks; b++) {
        const double * from = pyramid_sums(p, (uint32_t) b, key, g->query->measure) + first;
        for (uint32_t i = 0; i < width; i++) { sums[i] += from[i]; }
    }
}

static int by_block(struct grid * g, enum pyramid_key key, struct tat_error * error) {
    const struct pyramid * p = g->pyramid;
    const bool of_experts = g->query->y == GRID_BY_EXPERT, of_layer = key == PYRAMID_BY_LAYER_EXPERT;
    const uint32_t n_experts = p->width[PYRAMID_BY_EXPERT], n_tensors = p->width[PYRAMID_BY_TENSOR];
    const uint32_t first = of_layer ? (uint32_t) g->query->layer * n_experts : 0;
    struct sums values = { .n_keys = of_layer ? n_experts : p->width[key] }, tensors = { .n_keys = n_tensors };
    values.of_column = calloc((size_t) values.n_keys + 1, sizeof *values.of_column);
    tensors.of_column = calloc((size_t) n_tensors + 1, sizeof *tensors.of_column);
    const bool good = values.of_column && tensors.of_column && lay_out(g, p->n_tokens, values.n_keys, p->block);
    for (uint32_t c = 0; good && c < g->tile->columns; c++) {
        sum_blocks(g, c, key, first, values.n_keys, values.of_column);
        if (!of_experts) { sum_blocks(g, c, PYRAMID_BY_TENSOR, 0, n_tensors, tensors.of_column); }
        fill_column(g, c, &values, of_experts ? NULL : &tensors);
    }
    sums_free(&values);
    sums_free(&tensors);
    return good ? 0 : no_memory(error);
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
    if (!lay_out(g, g->layers, tat_matrix_columns(trace, TAT_BY_EXPERT), 1)) { return no_memory(error); }
    return subject_tally(g->subject, add_expert, g, error) < 0 ? -1 : 0;
}

/* Of each layer, the stack of experts that has most of all blocks. False: no memory. */
static bool find_stacks(const struct grid * g, uint32_t * stack_of, uint32_t layers) {
    const struct pyramid * p = g->pyramid;
    const uint32_t n = p->width[PYRAMID_BY_TENSOR];
    struct slices slices;
    double *most = calloc((size_t) layers + 1, sizeof *most), *sums = calloc((size_t) n + 1, sizeof *sums);
    const bool good = slices_find(&slices, g->subject) && most && sums;
    memset(stack_of, 0xff, layers * sizeof *stack_of);
    for (uint32_t b = 0; good && b < p->n_blocks; b++) {
        const double * from = pyramid_sums(p, b, PYRAMID_BY_TENSOR, g->query->measure);
        for (uint32_t i = 0; i < n; i++) { sums[i] += from[i]; }
    }
    for (uint32_t i = 0; good && i < n; i++) {
        const uint16_t layer = g->subject->tensors[i].layer;
        if (layer >= layers || slices_of(&slices, i) < 2 || sums[i] <= most[layer]) { continue; }
        most[layer] = sums[i];
        stack_of[layer] = i;
    }
    slices_free(&slices);
    free(most);
    free(sums);
    return good;
}

static int layers_and_experts_by_block(struct grid * g, struct tat_error * error) {
    const struct pyramid * p = g->pyramid;
    const uint32_t layers = g->layers, experts = p->width[PYRAMID_BY_EXPERT];
    uint32_t * stack_of = malloc(((size_t) layers + 1) * sizeof *stack_of);
    const bool good = stack_of && find_stacks(g, stack_of, layers) && lay_out(g, layers, experts, 1);
    size_t cell;
    for (uint32_t b = 0; good && b < p->n_blocks; b++) {
        const double * from = pyramid_sums(p, b, PYRAMID_BY_LAYER_EXPERT, g->query->measure);
        for (uint64_t l = g->tile->x0; l < g->tile->x1 && l < layers; l++) {
            const uint32_t column = (uint32_t) ((l - g->tile->x0) / g->column_span);
            for (uint32_t e = 0; e < experts; e++) {
                const double value = from[l * experts + e];
                if (value <= 0 || !cell_of(g, column, e, &cell)) { continue; }
                g->tile->values[cell] += value;
                propose(g, cell, stack_of[l], value);
            }
        }
    }
    free(stack_of);
    return good ? 0 : no_memory(error);
}

/* ---- */

static const enum pyramid_key block_keys[] = { [GRID_BY_LAYER] = PYRAMID_BY_LAYER,
                                               [GRID_BY_TENSOR] = PYRAMID_BY_TENSOR,
                                               [GRID_BY_EXPERT] = PYRAMID_BY_EXPERT,
                                               [GRID_BY_COMPONENT] = PYRAMID_BY_COMPONENT };

static enum pyramid_key block_key_of(const struct grid_query * q) {
    const bool of_layers = q->y == GRID_BY_EXPERT && (q->layer >= 0 || q->x == GRID_LAYERS);
    return of_layers ? PYRAMID_BY_LAYER_EXPERT : block_keys[q->y];
}

int view_grid(const struct subject * subject, const struct grid_query * query, const struct pyramid * pyramid,
              struct grid_tile * tile, struct tat_error * error) {
    struct grid g = {
        .subject = subject, .query = query, .tile = tile, .pyramid = pyramid, .layers = layer_span(subject)
    };
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
    const bool by_blocks = has_blocks(&g, block_key_of(query));
    if (query->x == GRID_LAYERS) {
        status = by_blocks ? layers_and_experts_by_block(&g, error) : layers_and_experts(&g, error);
    } else if (by_blocks && (query->layer < 0 || query->layer < (int32_t) g.layers)) {
        status = by_block(&g, block_key_of(query), error);
    } else if (!token_axis_begin(&axis, subject)) {
        status = no_memory(error);
    } else if (query->y == GRID_BY_EXPERT && query->layer >= 0) {
        status = experts_of_layer(&g, &axis, error);
    } else {
        status = by_token(&g, &axis, error);
    }
    token_axis_free(&axis);
    free(g.most);
    if (status == 0 && !grid_tile_turn(tile)) { status = no_memory(error); }
    if (status != 0) { grid_tile_free(tile); }
    return status;
}
