/* SPDX-License-Identifier: MIT
 *
 * Wide windows of long traces, from sums by blocks of tokens.
 */
#include <stdlib.h>
#include <string.h>

#include "analysis/slices.h"
#include "analysis/view/column_parts.h"
#include "analysis/view/grid_parts.h"

enum { COARSE = 8 };

static enum pyramid_key key_of(const struct grid_query * q) {
    const bool of_layers = q->y == GRID_BY_EXPERT && (q->layer >= 0 || q->x == GRID_LAYERS);
    return of_layers ? PYRAMID_BY_LAYER_EXPERT : (enum pyramid_key) q->y;
}

/* Blocks are good enough where they leave an eighth of the columns asked for; what is narrower costs little. */
bool grid_has_blocks(const struct grid * g) {
    const struct pyramid * p = g->pyramid;
    const struct grid_query * q = g->query;
    if (!p || !p->width[key_of(q)]) { return false; }
    if (q->x == GRID_LAYERS) { return q->layer < 0; }
    const uint64_t x1 = q->x1 < p->n_tokens ? q->x1 : p->n_tokens, width = x1 > q->x0 ? x1 - q->x0 : 0;
    return q->layer < (int32_t) g->layers && width / p->block >= (q->most_columns + COARSE - 1) / COARSE;
}

/* ---- by token ---- */

static uint32_t rows_of(const struct grid * g) {
    const enum pyramid_key key = key_of(g->query);
    return g->pyramid->width[key == PYRAMID_BY_LAYER_EXPERT ? PYRAMID_BY_EXPERT : key];
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

static int fill_part(const void * picture, uint32_t first_column, uint32_t end, struct tat_error * error) {
    struct grid g = *(const struct grid *) picture;
    const struct pyramid * p = g.pyramid;
    const enum pyramid_key key = key_of(g.query);
    const bool of_tensors = key == PYRAMID_BY_TENSOR;
    const uint32_t n_tensors = g.query->y == GRID_BY_EXPERT ? 0 : p->width[PYRAMID_BY_TENSOR];
    const uint32_t n = rows_of(&g), first = key == PYRAMID_BY_LAYER_EXPERT ? (uint32_t) g.query->layer * n : 0;
    double *values = calloc((size_t) n + 1, sizeof *values), *tensors = calloc((size_t) n_tensors + 1, sizeof *tensors);
    const bool good = values && tensors && tile_band_begin(&g.band, g.tile, TILE_BAND, first_column, end);
    for (uint32_t c = first_column; good && c < end; c++) {
        sum_blocks(&g, c, key, first, n, values);
        if (n_tensors && !of_tensors) { sum_blocks(&g, c, PYRAMID_BY_TENSOR, 0, n_tensors, tensors); }
        grid_fill_column(&g, c, values, n, n_tensors == 0 ? NULL : of_tensors ? values : tensors, n_tensors);
    }
    tile_band_free(&g.band);
    free(values);
    free(tensors);
    return good ? 0 : grid_no_memory(error);
}

static int by_token(struct grid * g, struct tat_error * error) {
    if (!grid_lay_out(g, g->pyramid->n_tokens, rows_of(g), g->pyramid->block)) { return grid_no_memory(error); }
    return column_parts_run(g->tile->columns, fill_part, g, error);
}

/* ---- layers and experts ---- */

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

static int by_layer(struct grid * g, struct tat_error * error) {
    const struct pyramid * p = g->pyramid;
    const uint32_t layers = g->layers, experts = p->width[PYRAMID_BY_EXPERT];
    uint32_t * stack_of = malloc(((size_t) layers + 1) * sizeof *stack_of);
    const bool good = stack_of && find_stacks(g, stack_of, layers) && grid_lay_out(g, layers, experts, 1) &&
                      grid_begin_band(g);
    size_t cell;
    for (uint32_t b = 0; good && b < p->n_blocks; b++) {
        const double * from = pyramid_sums(p, b, PYRAMID_BY_LAYER_EXPERT, g->query->measure);
        for (uint64_t l = g->tile->x0; l < g->tile->x1 && l < layers; l++) {
            const uint32_t column = (uint32_t) ((l - g->tile->x0) / g->column_span);
            for (uint32_t e = 0; e < experts; e++) {
                const double value = from[l * experts + e];
                if (value <= 0 || !grid_cell(g, column, e, &cell)) { continue; }
                g->band.values[cell] += value;
                tile_band_propose(&g->band, cell, stack_of[l], value);
            }
        }
    }
    free(stack_of);
    if (!good) { return grid_no_memory(error); }
    if (g->tile->columns) { tile_band_next(&g->band, g->tile->columns - 1); }
    return 0;
}

int grid_from_blocks(struct grid * g, struct tat_error * error) {
    return g->query->x == GRID_LAYERS ? by_layer(g, error) : by_token(g, error);
}
