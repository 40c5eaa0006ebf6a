/* SPDX-License-Identifier: MIT
 *
 * What pictures are made of: tokens, grids, the file map, offsets over time.
 */
#include <inttypes.h>

#include "analysis/view/file_map.h"
#include "analysis/view/offsets.h"
#include "analysis/view/tokens.h"
#include "serve/endpoint.h"
#include "serve/tile.h"

#define FAR ((uint64_t) 1 << 62) /* beyond the end of anything */

enum { CELLS_USUAL = 1024, CELLS_MOST = 8192 }; /* along a side */
#define TILE_CELLS_MOST ((uint64_t) 1 << 22) /* of offsets over time, which have as many as are asked for: 50 MB */

static struct answer with_schema(json_t * answer, const struct tat_error * error) {
    if (!answer) { return answer_error(error); }
    json_object_set_new(answer, "schema", json_integer(SERVE_SCHEMA));
    return answer_json(answer);
}

/* ---- tokens ---- */

static struct answer answer_tokens(struct served * served, const struct request * request) {
    struct tat_error error;
    (void) request;
    json_t * tokens = view_tokens(&served->subject, &error);
    if (tokens && view_add_text(tokens, &served->subject, served->vocabularies, &error) != 0) {
        json_decref(tokens);
        tokens = NULL;
    }
    return with_schema(tokens, &error);
}

/* ---- grids ---- */

static int read_size(const struct request * request, uint32_t * columns, uint32_t * rows, struct tat_error * error) {
    uint64_t w = CELLS_USUAL, h = CELLS_USUAL;
    const bool good = request_count(request, "w", 1, CELLS_MOST, &w, error) == 0 &&
                      request_count(request, "h", 1, CELLS_MOST, &h, error) == 0;
    *columns = (uint32_t) w;
    *rows = (uint32_t) h;
    return good ? 0 : -1;
}

static int read_grid(const struct request * request, struct grid_query * q, struct tat_error * error) {
    static const char * const xs[] = { [GRID_TOKENS] = "token", [GRID_LAYERS] = "layer" };
    static const char * const ys[] = { [GRID_BY_LAYER] = "layer",
                                       [GRID_BY_TENSOR] = "tensor",
                                       [GRID_BY_EXPERT] = "expert",
                                       [GRID_BY_COMPONENT] = "component" };
    static const char * const measures[] = {
        [TAT_SUM_BYTES] = "bytes", [TAT_SUM_ACCESSES] = "accesses", [TAT_SUM_NS] = "time"
    };
    unsigned x = GRID_TOKENS, y = GRID_BY_LAYER, measure = TAT_SUM_BYTES;
    uint64_t layer = 0;
    *q = (struct grid_query){ .x1 = FAR, .y1 = FAR };
    if (request_word(request, "x", xs, 2, &x, error) != 0 || request_word(request, "y", ys, 4, &y, error) != 0 ||
        request_word(request, "measure", measures, TAT_MEASURE_COUNT, &measure, error) != 0 ||
        request_count(request, "x0", 0, FAR, &q->x0, error) != 0 ||
        request_count(request, "x1", 0, FAR, &q->x1, error) != 0 ||
        request_count(request, "y0", 0, FAR, &q->y0, error) != 0 ||
        request_count(request, "y1", 0, FAR, &q->y1, error) != 0 ||
        request_count(request, "layer", 0, TAT_NO_LAYER - 1, &layer, error) != 0 ||
        read_size(request, &q->most_columns, &q->most_rows, error) != 0) {
        return -1;
    }
    q->x = (enum grid_columns) x;
    q->y = (enum grid_rows) y;
    q->measure = (enum tat_measure) measure;
    q->layer = request_text(request, "layer") ? (int32_t) layer : -1;
    return 0;
}

static struct answer answer_grid(struct served * served, const struct request * request) {
    struct tat_error error;
    struct grid_query query;
    struct grid_tile tile;
    if (read_grid(request, &query, &error) != 0) { return answer_error(&error); }
    return view_grid(&served->subject, &query, served_pyramid(served), &tile, &error) == 0
               ? answer_tile("TATG", &tile, served->revision)
               : answer_error(&error);
}

/* ---- offsets over time ---- */

/* Where inference begins and ends. */
static void time_span(const struct subject * s, uint64_t * t0, uint64_t * t1) {
    *t0 = FAR;
    *t1 = 0;
    for (uint32_t i = 0; i < s->n_evaluations; i++) {
        const struct tat_evaluation * e = &s->evaluations[i];
        if (!is_inference(e->phase)) { continue; }
        if (e->begin_ns < *t0) { *t0 = e->begin_ns; }
        if (e->end_ns > *t1) { *t1 = e->end_ns; }
    }
    if (*t0 > *t1) { *t0 = *t1; }
}

static struct answer answer_offsets(struct served * served, const struct request * request) {
    static const char * const orders[] = { [OFFSETS_BY_PLACE] = "physical", [OFFSETS_BY_ORDER] = "logical" };
    struct offsets_query q = { .o1 = FAR };
    struct tat_error error;
    struct grid_tile tile;
    unsigned by = OFFSETS_BY_PLACE;
    time_span(&served->subject, &q.t0, &q.t1);
    if (request_word(request, "by", orders, 2, &by, &error) != 0 ||
        request_count(request, "t0", 0, FAR, &q.t0, &error) != 0 ||
        request_count(request, "t1", 0, FAR, &q.t1, &error) != 0 ||
        request_count(request, "o0", 0, FAR, &q.o0, &error) != 0 ||
        request_count(request, "o1", 0, FAR, &q.o1, &error) != 0 ||
        read_size(request, &q.most_columns, &q.most_rows, &error) != 0) {
        return answer_error(&error);
    }
    if ((uint64_t) q.most_columns * q.most_rows > TILE_CELLS_MOST) {
        tat_fail(&error, TAT_ERROR_USAGE, "w=%" PRIu32 " and h=%" PRIu32 " make more than %" PRIu64 " cells",
                 q.most_columns, q.most_rows, TILE_CELLS_MOST);
        return answer_error(&error);
    }
    q.by = (enum offsets_by) by;
    return view_offsets(&served->subject, &q, served_reads(served), &tile, &error) == 0
               ? answer_tile("TATO", &tile, served->revision)
               : answer_error(&error);
}

/* ---- the file map ---- */

static struct answer answer_file(struct served * served, const struct request * request) {
    struct tat_error error;
    struct file_map_query q = { .tokens = FAR, .hi = FAR };
    if (request_count(request, "until_token", 0, FAR, &q.tokens, &error) != 0 ||
        request_count(request, "lo", 0, FAR, &q.lo, &error) != 0 ||
        request_count(request, "hi", 0, FAR, &q.hi, &error) != 0) {
        return answer_error(&error);
    }
    return with_schema(view_file_map(&served->subject, &q, served_pyramid(served), &error), &error);
}

const struct endpoint picture_endpoints[] = {
    { "tokens", "", PACE_SLOW, answer_tokens },
    { "grid", "x y measure x0 x1 y0 y1 w h layer", PACE_SLOW, answer_grid },
    { "offsets", "by t0 t1 o0 o1 w h", PACE_SLOW, answer_offsets },
    { "file", "until_token lo hi", PACE_SLOW, answer_file },
    { 0 },
};
