/* SPDX-License-Identifier: MIT
 *
 * Grids by token whose sums are made from the trace.
 */
#include <stdlib.h>
#include <string.h>

#include "analysis/parts.h"
#include "analysis/view/column_parts.h"
#include "analysis/view/grid_parts.h"
#include "format/matrix.h"

enum { AT_ONCE = 64 }; /* evaluations whose sums are made together */

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

/* A picture by token. */
struct token_grid {
    const struct grid * grid;
    const struct token_axis * axis;
    const struct tat_trace * trace; /* as in struct sums */
    const uint32_t * number_in;
};

static enum tat_key key_of_rows(const struct grid * g) {
    return g->query->y == GRID_BY_COMPONENT ? TAT_BY_TENSOR : pyramid_matrix_key((enum pyramid_key) g->query->y);
}

static bool begin_columns(const struct token_grid * t, struct grid * g, struct sums * s, uint32_t first, uint32_t end) {
    const enum tat_key key = key_of_rows(g);
    *s = (struct sums){ .trace = t->trace, .number_in = t->number_in };
    return (key == TAT_BY_TENSOR || sums_begin(s, OF_ROWS, key)) &&
           (key == TAT_BY_EXPERT || sums_begin(s, OF_TENSORS, TAT_BY_TENSOR)) &&
           tile_band_begin(&g->band, g->tile, TILE_BAND, first, end);
}

static int fill_columns(const struct token_grid * t, struct grid * g, struct sums * s, uint32_t first, uint32_t end,
                        struct tat_error * error) {
    const struct by_key *rows = &s->by[OF_ROWS], *tensors = &s->by[OF_TENSORS];
    const bool of_parts = g->query->y == GRID_BY_COMPONENT;
    double parts[TAT_COMPONENT_COUNT + 1];
    const double * values = of_parts ? parts : rows->n ? rows->of_column : tensors->of_column;
    const uint32_t n = of_parts ? TAT_COMPONENT_COUNT + 1 : rows->n ? rows->n : tensors->n;
    for (uint32_t c = first; c < end; c++) {
        const uint64_t t0 = g->tile->x0 + c * g->column_span;
        if (sums_of_tokens(s, g, t->axis, t0, t0 + g->column_span, error) != 0) { return -1; }
        memset(parts, 0, sizeof parts);
        for (uint32_t i = 0; of_parts && i < tensors->n; i++) {
            parts[part_of(&g->subject->tensors[i])] += tensors->of_column[i];
        }
        grid_fill_column(g, c, values, n, tensors->of_column, tensors->n);
    }
    return 0;
}

static int fill_part(const void * picture, uint32_t first, uint32_t end, struct tat_error * error) {
    const struct token_grid * t = picture;
    struct grid g = *t->grid;
    struct sums s;
    const bool good = begin_columns(t, &g, &s, first, end);
    const int status = good ? fill_columns(t, &g, &s, first, end, error) : grid_no_memory(error);
    tile_band_free(&g.band);
    sums_free(&s);
    return status;
}

static int fill_by_token(struct grid * g, const struct token_grid * t, struct tat_error * error) {
    const uint32_t n = g->query->y == GRID_BY_COMPONENT ? TAT_COMPONENT_COUNT + 1
                                                        : tat_matrix_columns(t->trace, key_of_rows(g));
    if (!grid_lay_out(g, t->axis->n_tokens, n, 1)) { return grid_no_memory(error); }
    return column_parts_run(g->tile->columns, fill_part, t, error);
}

/* ---- experts of a layer ---- */

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
    const struct token_grid t = { g, axis, part, number };
    const int status = number ? fill_by_token(g, &t, error) : grid_no_memory(error);
    free(number);
    tat_trace_close(part);
    return status;
}

int grid_by_token(struct grid * g, const struct token_axis * axis, struct tat_error * error) {
    if (g->query->y == GRID_BY_EXPERT && g->query->layer >= 0) { return experts_of_layer(g, axis, error); }
    return fill_by_token(g, &(struct token_grid){ g, axis, g->subject->trace, NULL }, error);
}
