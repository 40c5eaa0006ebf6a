/* SPDX-License-Identifier: MIT
 *
 * What the pictures of tat view are made of, counted again record by record.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "analysis/parts.h"
#include "analysis/view/column_parts.h"
#include "analysis/view/file_map.h"
#include "analysis/view/grid.h"
#include "analysis/view/offsets.h"
#include "analysis/view/tokens.h"
#include "small_model.h"

enum { TOKENS = 7, ROWS = 64 };

/* A prompt of two tokens, and five generated ones. */
struct fixture {
    struct trace_builder b;
    struct small_model m;
    struct tat_trace * trace;
    struct subject s;
};

static int begin(void ** state) {
    struct fixture * f = calloc(1, sizeof *f);
    if (!f) { abort(); }
    small_model_begin(&f->b, &f->m);
    const uint32_t prompt = small_model_template(&f->b, &f->m, 2), generate = small_model_template(&f->b, &f->m, 1);
    small_model_evaluate(&f->b, prompt, (const int64_t[]){ 1, 2 }, 2, (const uint32_t[]){ 0, 1, 1, 2 });
    for (uint32_t i = 0; i < 5; i++) {
        small_model_evaluate(&f->b, generate, (const int64_t[]){ 3 }, 1, (const uint32_t[]){ i % 4, (i + 1) % 4 });
    }
    f->trace = small_model_open(&f->b);
    assert_true(subject_begin(&f->s, f->trace, NULL));
    *state = f;
    return 0;
}

static int end(void ** state) {
    struct fixture * f = *state;
    subject_free(&f->s);
    tat_trace_close(f->trace);
    tb_free(&f->b);
    free(f);
    return 0;
}

/* ---- the same sums, record by record ---- */

struct recount {
    const struct fixture * f;
    enum grid_rows y;
    enum tat_measure measure;
    double cell[ROWS][TOKENS];
    double of_layer[ROWS][ROWS]; /* by expert and layer */
    double all_bytes, read_from_files;
};

static uint32_t row_of(const struct recount * r, const struct tat_access * a) {
    const struct tat_tensor * t = &r->f->s.tensors[a->tensor];
    switch (r->y) {
        case GRID_BY_LAYER: return a->layer == TAT_NO_LAYER ? layer_span(&r->f->s) : a->layer;
        case GRID_BY_TENSOR: return t->weight;
        case GRID_BY_COMPONENT: return part_of(t);
        default: return a->expert;
    }
}

static bool add(const struct tat_access * records, size_t count, void * user) {
    struct recount * r = user;
    for (size_t i = 0; i < count; i++) {
        const struct tat_access * a = &records[i];
        const struct tat_evaluation * e = &r->f->s.evaluations[a->evaluation];
        const double value = r->measure == TAT_SUM_BYTES ? (double) a->bytes : a->bytes > 0;
        const uint32_t row = row_of(r, a);
        r->all_bytes += (double) a->bytes;
        if (r->f->s.tensors[a->tensor].file && !(a->flags & TAT_ACCESS_WRITE)) {
            r->read_from_files += (double) a->bytes;
        }
        if (a->expert < ROWS && a->layer < ROWS) { r->of_layer[a->expert][a->layer] += value; }
        for (uint32_t t = 0; t < e->n_tokens && row < ROWS; t++) {
            r->cell[row][e->token_first + t] += value / e->n_tokens;
        }
    }
    return true;
}

static struct recount * recount_of(const struct fixture * f, enum grid_rows y, enum tat_measure measure) {
    struct tat_error error;
    struct recount * r = calloc(1, sizeof *r);
    if (!r) { abort(); }
    *r = (struct recount){ .f = f, .y = y, .measure = measure };
    assert_int_equal(tat_trace_expand(f->trace, 0, f->s.n_evaluations, add, r, &error), 0);
    return r;
}

static bool is_near(double a, double b) {
    return fabs(a - b) <= 1e-6 * (1 + fabs(a));
}

/* Every window and every number of cells. */
static void assert_grid(const struct fixture * f, struct grid_query q) {
    struct tat_error error;
    struct grid_tile tile;
    struct recount * r = recount_of(f, q.y, q.measure);
    assert_int_equal(view_grid(&f->s, &q, NULL, &tile, &error), 0);
    assert_true(tile.columns <= q.most_columns && tile.rows <= q.most_rows);
    for (uint32_t row = 0; row < tile.rows; row++) {
        for (uint32_t column = 0; column < tile.columns; column++) {
            const uint64_t wide = (tile.x1 - tile.x0) / tile.columns, high = (tile.y1 - tile.y0) / tile.rows;
            double sum = 0;
            for (uint64_t y = tile.y0 + row * high; y < tile.y0 + (row + 1) * high && y < ROWS; y++) {
                for (uint64_t x = tile.x0 + column * wide; x < tile.x0 + (column + 1) * wide && x < TOKENS; x++) {
                    sum += r->cell[y][x];
                }
            }
            const size_t cell = (size_t) row * tile.columns + column;
            assert_true(is_near(tile.values[cell], sum));
            if (sum == 0) { assert_int_equal(tile.dominant[cell], GRID_NO_TENSOR); }
            if (sum > 0 && q.y == GRID_BY_TENSOR) {
                assert_in_range(tile.dominant[cell], tile.y0 + row * high, tile.y0 + (row + 1) * high - 1);
            }
        }
    }
    grid_tile_free(&tile);
    free(r);
}

static void test_grids(void ** state) {
    const struct fixture * f = *state;
    for (enum grid_rows y = GRID_BY_LAYER; y <= GRID_BY_EXPERT; y++) {
        for (enum tat_measure measure = TAT_SUM_BYTES; measure <= TAT_SUM_ACCESSES; measure++) {
            for (uint32_t most = 1; most <= 8; most += most < 3 ? 1 : 5) {
                for (uint64_t x0 = 0; x0 < TOKENS; x0 += 3) {
                    const struct grid_query q = { GRID_TOKENS, y,          measure, x0,       UINT64_MAX,
                                                  0,           UINT64_MAX, most,    3 * most, -1 };
                    assert_grid(f, q);
                }
            }
        }
    }
}

static void test_time_is_that_of_the_evaluations(void ** state) {
    const struct fixture * f = *state;
    const struct grid_query q = { GRID_TOKENS, GRID_BY_TENSOR, TAT_SUM_NS, 0, UINT64_MAX, 0, UINT64_MAX, 100, 1, -1 };
    struct tat_error error;
    struct grid_tile tile;
    double sum = 0, all = 0;
    assert_int_equal(view_grid(&f->s, &q, NULL, &tile, &error), 0);
    assert_int_equal(tile.columns, TOKENS);
    for (uint32_t i = 0; i < tile.columns; i++) { sum += tile.values[i]; }
    uint64_t * ns = calloc((size_t) f->s.n_tensors * f->s.n_evaluations, sizeof *ns);
    assert_int_equal(tat_matrix(f->trace, TAT_BY_TENSOR, TAT_SUM_NS, 0, 0, f->s.n_evaluations, ns, &error), 0);
    for (size_t i = 0; i < (size_t) f->s.n_tensors * f->s.n_evaluations; i++) { all += (double) ns[i]; }
    assert_true(all > 0 && is_near(sum, all));
    free(ns);
    grid_tile_free(&tile);
}

static void test_layers_and_experts(void ** state) {
    const struct fixture * f = *state;
    const struct grid_query q = {
        GRID_LAYERS, GRID_BY_EXPERT, TAT_SUM_BYTES, 0, UINT64_MAX, 0, UINT64_MAX, 100, 100, -1
    };
    struct tat_error error;
    struct grid_tile tile;
    struct recount * r = recount_of(f, GRID_BY_EXPERT, TAT_SUM_BYTES);
    assert_int_equal(view_grid(&f->s, &q, NULL, &tile, &error), 0);
    assert_int_equal(tile.columns, layer_span(&f->s));
    for (uint32_t expert = 0; expert < tile.rows; expert++) {
        for (uint32_t layer = 0; layer < tile.columns; layer++) {
            assert_true(is_near(tile.values[expert * tile.columns + layer], r->of_layer[expert][layer]));
        }
    }
    grid_tile_free(&tile);
    for (uint16_t layer = 0; layer < layer_span(&f->s); layer++) {
        struct grid_query of = q;
        of.x = GRID_TOKENS;
        of.layer = layer;
        assert_int_equal(view_grid(&f->s, &of, NULL, &tile, &error), 0);
        for (uint32_t expert = 0; expert < tile.rows; expert++) {
            double sum = 0;
            for (uint32_t t = 0; t < tile.columns; t++) { sum += tile.values[expert * tile.columns + t]; }
            assert_true(is_near(sum, r->of_layer[expert][layer]));
        }
        grid_tile_free(&tile);
    }
    free(r);
}

static void test_what_there_is_not(void ** state) {
    const struct fixture * f = *state;
    struct grid_query q = { GRID_TOKENS, GRID_BY_EXPERT, TAT_SUM_NS, 0, 1, 0, 1, 1, 1, -1 };
    struct tat_error error;
    struct grid_tile tile;
    assert_int_equal(view_grid(&f->s, &q, NULL, &tile, &error), -1);
    q = (struct grid_query){ GRID_LAYERS, GRID_BY_TENSOR, TAT_SUM_BYTES, 0, 1, 0, 1, 1, 1, -1 };
    assert_int_equal(view_grid(&f->s, &q, NULL, &tile, &error), -1);
    q = (struct grid_query){ GRID_TOKENS, GRID_BY_LAYER, TAT_SUM_BYTES, 100, 50, 7, 3, 10, 10, -1 };
    assert_int_equal(view_grid(&f->s, &q, NULL, &tile, &error), 0);
    assert_int_equal(tile.columns, 0);
    assert_int_equal(tile.rows, 0);
    grid_tile_free(&tile);
}

/* ---- tokens, the file, offsets ---- */

static double sum_of(const json_t * column) {
    size_t i;
    const json_t * value;
    double sum = 0;
    json_array_foreach(column, i, value) {
        sum += (double) json_integer_value(value);
    }
    return sum;
}

static void test_tokens(void ** state) {
    const struct fixture * f = *state;
    struct tat_error error;
    struct recount * r = recount_of(f, GRID_BY_LAYER, TAT_SUM_BYTES);
    json_t * tokens = view_tokens(&f->s, &error);
    assert_int_equal(json_array_size(json_object_get(tokens, "phase")), TOKENS);
    assert_string_equal(json_string_value(json_array_get(json_object_get(tokens, "phase"), 1)), "prompt");
    assert_string_equal(json_string_value(json_array_get(json_object_get(tokens, "phase"), 2)), "generate");
    assert_true(fabs(sum_of(json_object_get(tokens, "bytes")) - r->all_bytes) <= TOKENS);
    const json_t * fresh = json_object_get(tokens, "new_experts");
    assert_int_equal(json_integer_value(json_array_get(fresh, 0)), 2); /* 0 and 1, before which there was none */
    assert_int_equal(json_integer_value(json_array_get(fresh, 1)), 1); /* 1 and 2 */
    assert_int_equal(json_integer_value(json_array_get(fresh, 2)), 1); /* 0 and 1 */
    assert_int_equal(json_integer_value(json_array_get(fresh, 3)), 1); /* 1 and 2 */
    json_decref(tokens);
    free(r);
}

static json_t * map_of(const struct fixture * f, uint64_t tokens, uint64_t lo, uint64_t hi) {
    struct tat_error error;
    const struct file_map_query q = { tokens, lo, hi };
    json_t * map = view_file_map(&f->s, &q, NULL, &error);
    assert_non_null(map);
    return map;
}

static double field_sum(const json_t * map, const char * field) {
    size_t i;
    const json_t * block;
    double sum = 0;
    json_array_foreach(json_object_get(map, "blocks"), i, block) {
        sum += (double) json_integer_value(json_object_get(block, field));
    }
    return sum;
}

static void test_file_map(void ** state) {
    const struct fixture * f = *state;
    struct recount * r = recount_of(f, GRID_BY_TENSOR, TAT_SUM_BYTES);
    json_t *none = map_of(f, 0, 0, UINT64_MAX), *some = map_of(f, 3, 0, UINT64_MAX),
           *all = map_of(f, UINT64_MAX, 0, UINT64_MAX);
    const size_t blocks = json_array_size(json_object_get(all, "blocks"));
    assert_true(blocks > 0);
    assert_true(field_sum(none, "read_bytes") == 0);
    assert_true(field_sum(some, "read_bytes") > 0 && field_sum(some, "read_bytes") < field_sum(all, "read_bytes"));
    assert_true(is_near(field_sum(all, "read_bytes"), r->read_from_files));
    json_int_t before = -1;
    for (size_t i = 0; i < blocks; i++) {
        const json_t * block = json_array_get(json_object_get(all, "blocks"), i);
        const json_int_t offset = json_integer_value(json_object_get(block, "offset"));
        const json_int_t bytes = json_integer_value(json_object_get(block, "bytes"));
        json_t * one = map_of(f, 0, (uint64_t) offset, (uint64_t) offset + 1);
        assert_true(offset >= before);
        assert_true(json_array_size(json_object_get(one, "blocks")) >= 1);
        before = offset + (bytes > 0 ? 1 : 0);
        json_decref(one);
    }
    json_decref(none);
    json_decref(some);
    json_decref(all);
    free(r);
}

static void test_file_map_of_a_model_loaded_again(void ** state) {
    (void) state;
    struct fixture f = { 0 };
    small_model_begin(&f.b, &f.m);
    for (int i = 0; i < 2; i++) {
        const uint32_t graph = small_model_template(&f.b, &f.m, 1);
        small_model_evaluate(&f.b, graph, (const int64_t[]){ 3 }, 1, (const uint32_t[]){ 0, 1 });
        if (i == 0) { small_model_load_again(&f.b, &f.m); }
    }
    f.trace = small_model_open(&f.b);
    assert_true(subject_begin(&f.s, f.trace, NULL));
    struct recount * r = recount_of(&f, GRID_BY_TENSOR, TAT_SUM_BYTES);
    json_t * all = map_of(&f, UINT64_MAX, 0, UINT64_MAX);
    assert_true(r->read_from_files > 0 && is_near(field_sum(all, "read_bytes"), r->read_from_files));
    json_decref(all);
    free(r);
    subject_free(&f.s);
    tat_trace_close(f.trace);
    tb_free(&f.b);
}

static void test_offsets(void ** state) {
    const struct fixture * f = *state;
    struct recount * r = recount_of(f, GRID_BY_TENSOR, TAT_SUM_BYTES);
    for (enum offsets_by by = OFFSETS_BY_PLACE; by <= OFFSETS_BY_ORDER; by++) {
        for (uint32_t most = 1; most < 40; most = 3 * most + 1) {
            const struct offsets_query q = { by, 0, UINT64_MAX / 4, 0, UINT64_MAX / 4, most, 2 * most };
            struct tat_error error;
            struct grid_tile tile;
            double sum = 0;
            assert_int_equal(view_offsets(&f->s, &q, NULL, &tile, &error), 0);
            for (size_t i = 0; i < (size_t) tile.columns * tile.rows; i++) {
                sum += tile.values[i];
                assert_true((tile.values[i] > 0) == (tile.dominant[i] != GRID_NO_TENSOR));
            }
            assert_true(r->read_from_files > 0 && fabs(sum - r->read_from_files) < 1e-3 * sum);
            grid_tile_free(&tile);
        }
    }
    free(r);
}

/* ---- offsets, cell by cell ---- */

struct offset_recount {
    const struct fixture * f;
    const struct offsets_query * q;
    const struct grid_tile * tile;
    double * bytes; /* [row][column][component] */
};

static double part_between(double from, double to, double low, double high) {
    const double begin = from > low ? from : low, end = to < high ? to : high;
    return end > begin ? (end - begin) / (to - from) : 0;
}

static bool add_offset(const struct tat_access * records, size_t count, void * user) {
    struct offset_recount * r = user;
    const struct grid_tile * t = r->tile;
    for (size_t i = 0; i < count; i++) {
        const struct tat_access * a = &records[i];
        const struct tat_tensor * tensor = &r->f->s.tensors[a->tensor];
        if (!tensor->file || a->flags & TAT_ACCESS_WRITE || a->start_ns < r->q->t0 || a->start_ns >= r->q->t1) {
            continue;
        }
        const double wide = (double) (t->x1 - t->x0) / t->columns, high = (double) (t->y1 - t->y0) / t->rows;
        const uint32_t column = (uint32_t) ((double) (a->start_ns - t->x0) / wide);
        const struct tat_layout layout = tat_trace_layout(r->f->trace, a->layout);
        const double extent =
            a->layout ? (double) ((a->rows - 1) * layout.stride + layout.run_bytes) : (double) a->bytes;
        for (uint32_t row = 0; row < t->rows; row++) {
            const double low = (double) t->y0 + row * high, from = (double) a->offset;
            r->bytes[((size_t) row * t->columns + column) * TAT_COMPONENT_COUNT + tensor->component] +=
                (double) a->bytes * part_between(from, from + extent, low, low + high);
        }
    }
    return true;
}

/* The small model has one file. Returns the sum. */
static double assert_offsets(const struct fixture * f, const struct file_reads * reads,
                             const struct offsets_query * q) {
    struct tat_error error;
    struct grid_tile tile;
    double all = 0;
    assert_int_equal(view_offsets(&f->s, q, reads, &tile, &error), 0);
    const size_t cells = (size_t) tile.columns * tile.rows;
    struct offset_recount r = { f, q, &tile, calloc(cells * TAT_COMPONENT_COUNT + 1, sizeof(double)) };
    if (!r.bytes) { abort(); }
    for (uint32_t i = 0; i < f->s.n_evaluations; i++) {
        if (!is_inference(f->s.evaluations[i].phase)) { continue; }
        assert_int_equal(tat_trace_expand(f->trace, i, i + 1, add_offset, &r, &error), 0);
    }
    for (size_t i = 0; i < cells; i++) {
        const double * of = &r.bytes[i * TAT_COMPONENT_COUNT];
        double sum = 0, most = 0;
        for (uint32_t c = 0; c < TAT_COMPONENT_COUNT; c++) {
            sum += of[c];
            most = of[c] > most ? of[c] : most;
        }
        assert_true(is_near(tile.values[i], sum));
        assert_true(sum > 0 ? is_near(of[tile.dominant[i]], most) : tile.dominant[i] == GRID_NO_TENSOR);
        all += sum;
    }
    free(r.bytes);
    grid_tile_free(&tile);
    return all;
}

static void test_offsets_cell_by_cell(void ** state) {
    const struct fixture * f = *state;
    struct tat_error error;
    struct file_reads * reads = file_reads_make(&f->s, &error);
    const uint32_t last = f->s.n_evaluations - 1;
    const uint64_t begin = f->s.evaluations[0].begin_ns, end = f->s.evaluations[last].end_ns + 1;
    const uint64_t quarter = (end - begin) / 4, base = f->s.tensors[f->m.embd].file_offset;
    assert_non_null(reads);
    for (uint32_t most = 1; most < 3000; most = 5 * most + 2) {
        const struct offsets_query whole = { OFFSETS_BY_PLACE, begin, end, 0, UINT64_MAX / 4, most, 37 };
        const struct offsets_query part = { OFFSETS_BY_PLACE, begin + quarter, end - quarter, base + 20, base + 900,
                                            most,             5 };
        assert_true(assert_offsets(f, reads, &whole) > 0);
        assert_true(is_near(assert_offsets(f, NULL, &whole), assert_offsets(f, reads, &whole)));
        assert_true(assert_offsets(f, reads, &part) > 0);
    }
    file_reads_free(reads);
}

/* An evaluation that came to its end is kept, and no other. */
static void test_what_is_kept_of_reads(void ** state) {
    const struct fixture * f = *state;
    struct tat_error error;
    struct file_reads * reads = file_reads_make(&f->s, &error);
    uint32_t kept = 0;
    assert_non_null(reads);
    for (uint32_t i = 0; i < f->s.n_evaluations; i++) { kept += reads->is_kept[i]; }
    assert_int_equal(kept, f->s.n_evaluations - 1);
    assert_true(reads->reads.count > N_EXPERTS && reads->varying.count > f->s.n_evaluations);
    file_reads_free(reads);
}

/* ---- blocks of tokens ---- */

enum { LONG_PROMPT = 40, LONG_TOKENS = 680 };

/* A prompt that reaches beyond two blocks, tokens, and an evaluation that ends before its experts. */
static int begin_long(void ** state) {
    struct fixture * f = calloc(1, sizeof *f);
    int64_t tokens[LONG_PROMPT];
    uint32_t experts[2 * LONG_PROMPT];
    if (!f) { abort(); }
    for (uint32_t i = 0; i < LONG_PROMPT; i++) {
        tokens[i] = i % VOCABULARY;
        experts[2 * i] = i % 3;
        experts[2 * i + 1] = (i + 1) % 3;
    }
    small_model_begin(&f->b, &f->m);
    const uint32_t prompt = small_model_template(&f->b, &f->m, LONG_PROMPT),
                   generate = small_model_template(&f->b, &f->m, 1);
    small_model_evaluate(&f->b, prompt, tokens, LONG_PROMPT, experts);
    for (uint32_t i = LONG_PROMPT; i < LONG_TOKENS; i++) {
        if (i == 300) {
            small_model_end_early(&f->b, generate, (const int64_t[]){ 3 }, 1, 2);
        } else {
            small_model_evaluate(&f->b, generate, (const int64_t[]){ 3 }, 1,
                                 (const uint32_t[]){ i % 4, (i + 1 + i / 7 % 2) % 4 });
        }
    }
    f->trace = small_model_open(&f->b);
    assert_true(subject_begin(&f->s, f->trace, NULL));
    *state = f;
    return 0;
}

static struct pyramid * pyramid_of(const struct fixture * f) {
    struct tat_error error;
    struct token_axis axis;
    assert_true(token_axis_begin(&axis, &f->s));
    struct pyramid * p = pyramid_make(&f->s, &axis, NULL, NULL, &error);
    assert_non_null(p);
    assert_int_equal(p->n_tokens, LONG_TOKENS);
    assert_true(p->n_blocks > 40);
    token_axis_free(&axis);
    return p;
}

/* `fine` has a column for each token. */
static void assert_sums_of(const struct grid_query * q, const struct grid_tile * tile, const struct grid_tile * fine) {
    const uint64_t wide = (tile->x1 - tile->x0) / tile->columns, high = (tile->y1 - tile->y0) / tile->rows;
    for (uint32_t row = 0; row < tile->rows; row++) {
        for (uint32_t column = 0; column < tile->columns; column++) {
            const size_t cell = (size_t) row * tile->columns + column;
            double sum = 0;
            for (uint64_t y = row * high; y < (row + 1) * high && y < fine->rows; y++) {
                for (uint64_t x = 0; x < wide; x++) {
                    const uint64_t at = tile->x0 + column * wide + x;
                    if (at < fine->columns) { sum += fine->values[y * fine->columns + at]; }
                }
            }
            assert_true(is_near(tile->values[cell], sum));
            assert_true(q->y == GRID_BY_EXPERT || (tile->dominant[cell] != GRID_NO_TENSOR) == (sum > 0));
        }
    }
}

static void assert_blocks(const struct fixture * f, const struct pyramid * p, struct grid_query q) {
    struct tat_error error;
    struct grid_tile tile, fine;
    struct grid_query each = q;
    each.x0 = each.y0 = 0;
    each.x1 = each.y1 = UINT64_MAX;
    each.most_columns = each.most_rows = 4096;
    assert_int_equal(view_grid(&f->s, &each, NULL, &fine, &error), 0);
    assert_int_equal(fine.columns, LONG_TOKENS);
    assert_int_equal(view_grid(&f->s, &q, p, &tile, &error), 0);
    assert_true(tile.columns <= q.most_columns && 8 * tile.columns >= q.most_columns);
    assert_true(tile.x0 <= q.x0 && tile.x1 >= (q.x1 < LONG_TOKENS ? q.x1 : LONG_TOKENS));
    assert_int_equal(tile.x0 % p->block, 0);
    assert_sums_of(&q, &tile, &fine);
    grid_tile_free(&tile);
    grid_tile_free(&fine);
}

static void test_blocks_have_the_same_sums(void ** state) {
    const struct fixture * f = *state;
    struct pyramid * p = pyramid_of(f);
    for (enum grid_rows y = GRID_BY_LAYER; y <= GRID_BY_EXPERT; y++) {
        for (enum tat_measure measure = TAT_SUM_BYTES; measure < TAT_MEASURE_COUNT; measure++) {
            if (y == GRID_BY_EXPERT && measure == TAT_SUM_NS) { continue; }
            for (int32_t layer = -1; layer < (y == GRID_BY_EXPERT ? 2 : 0); layer++) {
                assert_blocks(
                    f, p, (struct grid_query){ GRID_TOKENS, y, measure, 0, UINT64_MAX, 0, UINT64_MAX, 9, 2, layer });
                assert_blocks(f, p,
                              (struct grid_query){ GRID_TOKENS, y, measure, 37, 411, 0, UINT64_MAX, 5, 100, layer });
            }
        }
    }
    pyramid_free(p);
}

static void test_blocks_by_layer_and_expert(void ** state) {
    const struct fixture * f = *state;
    struct pyramid * p = pyramid_of(f);
    for (enum tat_measure measure = TAT_SUM_BYTES; measure < TAT_SUM_NS; measure++) {
        const struct grid_query q = {
            GRID_LAYERS, GRID_BY_EXPERT, measure, 0, UINT64_MAX, 0, UINT64_MAX, 100, 100, -1
        };
        struct tat_error error;
        struct grid_tile tile, walked;
        assert_int_equal(view_grid(&f->s, &q, p, &tile, &error), 0);
        assert_int_equal(view_grid(&f->s, &q, NULL, &walked, &error), 0);
        assert_int_equal(tile.columns, walked.columns);
        assert_int_equal(tile.rows, walked.rows);
        for (size_t i = 0; i < (size_t) tile.columns * tile.rows; i++) {
            assert_true(is_near(tile.values[i], walked.values[i]));
            assert_int_equal(tile.dominant[i], walked.dominant[i]);
        }
        grid_tile_free(&tile);
        grid_tile_free(&walked);
    }
    pyramid_free(p);
}

static double real_of(const json_t * row, const char * key) {
    return (double) json_integer_value(json_object_get(row, key));
}

static void test_blocks_add_up_to_the_report(void ** state) {
    const struct fixture * f = *state;
    const char * const names[] = { "layers" };
    struct tat_error error;
    struct pyramid * p = pyramid_of(f);
    json_t * all = analyses_run(f->trace, names, 1, NULL, &error);
    const json_t * rows =
        json_object_get(json_object_get(json_object_get(json_object_get(all, "layers"), "tables"), "layers"), "rows");
    const uint32_t n = p->width[PYRAMID_BY_LAYER];
    assert_true(json_array_size(rows) > 1);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i), *layer = json_object_get(row, "layer");
        const uint32_t column = json_is_null(layer) ? n - 1 : (uint32_t) json_integer_value(layer);
        double bytes = 0, ns = 0;
        for (uint32_t b = 0; b < p->n_blocks; b++) {
            bytes += pyramid_sums(p, b, PYRAMID_BY_LAYER, TAT_SUM_BYTES)[column];
            ns += pyramid_sums(p, b, PYRAMID_BY_LAYER, TAT_SUM_NS)[column];
        }
        assert_true(bytes > 0 &&
                    is_near(bytes, real_of(row, "weight_bytes") + real_of(row, "state_read_bytes") +
                                       real_of(row, "state_written_bytes") + real_of(row, "activation_bytes")));
        assert_true(ns > 0 && is_near(ns, real_of(row, "ns")));
    }
    json_decref(all);
    pyramid_free(p);
}

static void test_file_map_from_marks(void ** state) {
    const struct fixture * f = *state;
    struct pyramid * p = pyramid_of(f);
    assert_true(p->n_marks > 30);
    for (uint64_t tokens = 0; tokens < LONG_TOKENS + 50; tokens += 13) {
        struct tat_error error;
        const struct file_map_query q = { tokens, 0, UINT64_MAX };
        json_t *walked = view_file_map(&f->s, &q, NULL, &error), *marked = view_file_map(&f->s, &q, p, &error);
        assert_true(walked && json_equal(walked, marked));
        json_decref(walked);
        json_decref(marked);
    }
    pyramid_free(p);
}

static bool end_soon(uint32_t done, uint32_t all, void * user) {
    assert_true(done < all);
    return ++*(int *) user < 3;
}

static void test_making_blocks_can_be_ended(void ** state) {
    const struct fixture * f = *state;
    struct tat_error error;
    struct token_axis axis;
    int calls = 0;
    assert_true(token_axis_begin(&axis, &f->s));
    assert_null(pyramid_make(&f->s, &axis, end_soon, &calls, &error));
    assert_int_equal(calls, 3);
    token_axis_free(&axis);
}

/* ---- columns by several threads ---- */

enum { COLUMNS_MOST = 1000 };

struct filled {
    unsigned * times; /* by column */
    uint32_t bad;     /* a column that cannot be filled */
};

static int fill_columns(const void * picture, uint32_t first, uint32_t end, struct tat_error * error) {
    const struct filled * f = picture;
    for (uint32_t i = first; i < end; i++) { f->times[i]++; }
    return f->bad < first || f->bad >= end ? 0 : tat_fail(error, TAT_ERROR_NO, "column %u", f->bad);
}

static void test_each_column_is_filled_once(void ** state) {
    (void) state;
    for (uint32_t columns = 1; columns <= COLUMNS_MOST; columns += 37) {
        unsigned times[COLUMNS_MOST] = { 0 };
        struct tat_error error = { 0 };
        struct filled f = { times, COLUMNS_MOST };
        assert_int_equal(column_parts_run(columns, fill_columns, &f, &error), 0);
        for (uint32_t i = 0; i < COLUMNS_MOST; i++) { assert_int_equal(times[i], i < columns); }
        for (f.bad = 0; f.bad < columns; f.bad += 50) {
            char expected[32];
            snprintf(expected, sizeof expected, "column %u", f.bad);
            assert_int_equal(column_parts_run(columns, fill_columns, &f, &error), -1);
            assert_string_equal(error.message, expected);
        }
    }
}

/* ---- no memory ---- */

static long allocations_left;

static void * allocate(size_t bytes) {
    return allocations_left-- > 0 ? malloc(bytes) : NULL;
}

/* Whether there is an answer if memory for JSON ends after so many pieces of it; if there is none, it says why. */
static bool has_answer(const struct fixture * f, bool of_file, long pieces) {
    const struct file_map_query query = { .tokens = UINT64_MAX, .hi = UINT64_MAX };
    struct tat_error error = { .message = "nothing said" };
    allocations_left = pieces;
    json_t * answer = of_file ? view_file_map(&f->s, &query, NULL, &error) : view_tokens(&f->s, &error);
    if (!answer) { assert_string_equal(error.message, "out of memory"); }
    json_decref(answer);
    return answer != NULL;
}

static void test_no_memory_for_answers(void ** state) {
    json_set_alloc_funcs(allocate, free);
    for (int of_file = 0; of_file < 2; of_file++) {
        assert_false(has_answer(*state, of_file, 0));
        for (long pieces = 1; pieces < 2000; pieces++) { has_answer(*state, of_file, pieces); }
        assert_true(has_answer(*state, of_file, 100000));
    }
    json_set_alloc_funcs(malloc, free);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_grids, begin, end),
        cmocka_unit_test_setup_teardown(test_time_is_that_of_the_evaluations, begin, end),
        cmocka_unit_test_setup_teardown(test_layers_and_experts, begin, end),
        cmocka_unit_test_setup_teardown(test_what_there_is_not, begin, end),
        cmocka_unit_test_setup_teardown(test_tokens, begin, end),
        cmocka_unit_test_setup_teardown(test_file_map, begin, end),
        cmocka_unit_test(test_file_map_of_a_model_loaded_again),
        cmocka_unit_test(test_each_column_is_filled_once),
        cmocka_unit_test_setup_teardown(test_offsets, begin, end),
        cmocka_unit_test_setup_teardown(test_offsets_cell_by_cell, begin, end),
        cmocka_unit_test_setup_teardown(test_offsets_cell_by_cell, begin_long, end),
        cmocka_unit_test_setup_teardown(test_what_is_kept_of_reads, begin_long, end),
        cmocka_unit_test_setup_teardown(test_blocks_have_the_same_sums, begin_long, end),
        cmocka_unit_test_setup_teardown(test_blocks_by_layer_and_expert, begin_long, end),
        cmocka_unit_test_setup_teardown(test_blocks_add_up_to_the_report, begin_long, end),
        cmocka_unit_test_setup_teardown(test_file_map_from_marks, begin_long, end),
        cmocka_unit_test_setup_teardown(test_making_blocks_can_be_ended, begin_long, end),
        cmocka_unit_test_setup_teardown(test_no_memory_for_answers, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
