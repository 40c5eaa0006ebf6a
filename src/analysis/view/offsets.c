/* SPDX-License-Identifier: MIT */
#include "analysis/view/offsets.h"

#include <stdlib.h>
#include <string.h>

#define NOWHERE    UINT64_MAX
#define CELLS_MOST ((uint64_t) 1 << 22)

struct offsets {
    const struct subject * subject;
    const struct offsets_query * query;
    struct grid_tile * tile;
    uint64_t * place; /* by tensor: where it begins; NOWHERE: it is no part of the files */
    uint64_t end;     /* of all */
    float * of;       /* [component][row][column] */
    double column_ns, row_bytes;
};

/* ---- where tensors lie ---- */

static void place_by_file(struct offsets * o) {
    const struct subject * s = o->subject;
    for (uint32_t i = 0; i < s->n_tensors; i++) {
        const struct tat_tensor * t = &s->tensors[i];
        uint64_t base = 0;
        for (uint32_t f = 0; t->file && f + 1 < t->file && f < s->n_files; f++) { base += s->files[f].size; }
        o->place[i] = t->file ? base + t->file_offset : NOWHERE;
    }
    for (uint32_t f = 0; f < s->n_files; f++) { o->end += s->files[f].size; }
}

static bool place_next(const struct tat_access * records, size_t count, void * user) {
    struct offsets * o = user;
    for (size_t i = 0; i < count; i++) {
        const struct tat_tensor * t = &o->subject->tensors[records[i].tensor];
        if (!records[i].bytes || !t->file || o->place[t->weight] != NOWHERE) { continue; }
        o->place[t->weight] = o->end;
        o->end += t->bytes;
    }
    return true;
}

/* By the first graph of each template that is of inference: others repeat them. */
static int place_by_order(struct offsets * o, struct tat_error * error) {
    const struct subject * s = o->subject;
    bool * seen = calloc((size_t) s->n_templates + 1, sizeof *seen);
    int status = seen ? 0 : tat_fail(error, TAT_ERROR_SYSTEM, "out of memory");
    memset(o->place, 0xff, s->n_tensors * sizeof *o->place);
    for (uint32_t i = 0; i < s->n_evaluations && status == 0; i++) {
        const struct tat_evaluation * e = &s->evaluations[i];
        if (!is_inference(e->phase) || e->template_id >= s->n_templates || seen[e->template_id]) { continue; }
        seen[e->template_id] = true;
        status = tat_trace_expand(s->trace, i, i + 1, place_next, o, error);
    }
    for (uint32_t i = 0; i < s->n_tensors; i++) { o->place[i] = o->place[s->tensors[i].weight]; }
    free(seen);
    return status;
}

/* ---- cells ---- */

static uint64_t extent_of(const struct offsets * o, const struct tat_access * a) {
    if (!(a->flags & TAT_ACCESS_STRIDED) || a->rows < 2) { return a->bytes; }
    const struct tat_layout layout = tat_trace_layout(o->subject->trace, a->layout);
    const uint64_t gaps = a->rows - 1;
    return layout.stride > UINT64_MAX / 2 / gaps ? a->bytes : gaps * layout.stride + layout.run_bytes;
}

/* Gives each row its part of the bytes. */
static void add_extent(struct offsets * o, uint32_t component, uint32_t column, double first, double bytes,
                       double extent) {
    const struct grid_tile * t = o->tile;
    const double from = (first - (double) t->y0) / o->row_bytes, to = (first + extent - (double) t->y0) / o->row_bytes;
    if (to <= 0 || from >= t->rows || extent <= 0) { return; }
    const uint32_t last = to >= t->rows ? t->rows - 1 : (uint32_t) to;
    for (uint32_t row = from > 0 ? (uint32_t) from : 0; row <= last; row++) {
        const double low = from > row ? from : row, high = to < row + 1. ? to : row + 1.;
        if (high > low) {
            o->of[((size_t) component * t->rows + row) * t->columns + column] +=
                (float) (bytes * (high - low) / (to - from));
        }
    }
}

static bool add_reads(const struct tat_access * records, size_t count, void * user) {
    struct offsets * o = user;
    for (size_t i = 0; i < count; i++) {
        const struct tat_access * a = &records[i];
        const struct tat_tensor * t = &o->subject->tensors[a->tensor];
        if (!a->bytes || o->place[a->tensor] == NOWHERE || a->start_ns < o->query->t0 || a->start_ns >= o->query->t1 ||
            (a->flags & TAT_ACCESS_WRITE) || a->offset < t->file_offset) {
            continue;
        }
        const double column = (double) (a->start_ns - o->query->t0) / o->column_ns;
        add_extent(o, t->component, column < o->tile->columns ? (uint32_t) column : o->tile->columns - 1,
                   (double) o->place[a->tensor] + (double) (a->offset - t->file_offset), (double) a->bytes,
                   (double) extent_of(o, a));
    }
    return true;
}

static int expand_window(struct offsets * o, struct tat_error * error) {
    const struct subject * s = o->subject;
    for (uint32_t i = 0; i < s->n_evaluations; i++) {
        const struct tat_evaluation * e = &s->evaluations[i];
        if (!is_inference(e->phase) || e->end_ns < o->query->t0 || e->begin_ns >= o->query->t1) { continue; }
        uint32_t end = i + 1;
        while (end < s->n_evaluations && is_inference(s->evaluations[end].phase) &&
               s->evaluations[end].begin_ns < o->query->t1) {
            end++;
        }
        if (tat_trace_expand(s->trace, i, end, add_reads, o, error) != 0) { return -1; }
        i = end - 1;
    }
    return 0;
}

static void sum_components(struct offsets * o) {
    struct grid_tile * t = o->tile;
    const size_t cells = (size_t) t->rows * t->columns;
    for (size_t i = 0; i < cells; i++) {
        float most = 0;
        for (uint32_t c = 0; c < TAT_COMPONENT_COUNT; c++) {
            const float bytes = o->of[c * cells + i];
            t->values[i] += (double) bytes;
            if (bytes > most) {
                most = bytes;
                t->dominant[i] = c;
            }
        }
    }
}

/* ---- */

static bool lay_out(struct offsets * o) {
    const struct offsets_query * q = o->query;
    struct grid_tile * t = o->tile;
    const uint64_t o1 = q->o1 < o->end ? q->o1 : o->end;
    const uint64_t width = q->t1 > q->t0 ? q->t1 - q->t0 : 0, height = o1 > q->o0 ? o1 - q->o0 : 0;
    const uint32_t columns = width < q->most_columns ? (uint32_t) width : q->most_columns;
    const uint32_t rows = height < q->most_rows ? (uint32_t) height : q->most_rows;
    if (rows && columns > CELLS_MOST / rows) { return false; }
    const size_t cells = (size_t) columns * rows;
    *t = (struct grid_tile){ q->t0,
                             q->t0 + width,
                             q->o0,
                             q->o0 + height,
                             columns,
                             rows,
                             calloc(cells + 1, sizeof *t->values),
                             malloc((cells + 1) * sizeof *t->dominant) };
    o->of = calloc(cells * TAT_COMPONENT_COUNT + 1, sizeof *o->of);
    if (!t->values || !t->dominant || !o->of) { return false; }
    memset(t->dominant, 0xff, cells * sizeof *t->dominant);
    o->column_ns = columns ? (double) width / columns : 1;
    o->row_bytes = rows ? (double) height / rows : 1;
    return true;
}

int view_offsets(const struct subject * subject, const struct offsets_query * query, struct grid_tile * tile,
                 struct tat_error * error) {
    struct offsets o = { .subject = subject, .query = query, .tile = tile };
    int status = tat_fail(error, TAT_ERROR_SYSTEM, "out of memory for a picture; ask for fewer cells");
    *tile = (struct grid_tile){ 0 };
    o.place = malloc(((size_t) subject->n_tensors + 1) * sizeof *o.place);
    if (o.place && query->by == OFFSETS_BY_PLACE) { place_by_file(&o); }
    const bool placed = o.place && (query->by == OFFSETS_BY_PLACE || (status = place_by_order(&o, error)) == 0);
    if (placed && lay_out(&o)) {
        status = tile->columns && tile->rows ? expand_window(&o, error) : 0;
        if (status == 0) { sum_components(&o); }
    } else if (placed) {
        status = tat_fail(error, TAT_ERROR_SYSTEM, "out of memory for a picture; ask for fewer cells");
    }
    free(o.place);
    free(o.of);
    if (status != 0) { grid_tile_free(tile); }
    return status;
}
