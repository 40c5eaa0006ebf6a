/* SPDX-License-Identifier: MIT
 *
 * Column by column, some by one thread, some by others. Of evaluations that lie in one column, it is counted how often
 * each read was done; those that reach beyond it are read from the trace, operation by operation.
 */
#include "analysis/view/offsets.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/view/column_parts.h"
#include "analysis/view/offset_places.h"
#include "format/file_walk.h"

#define NO_HIT UINT32_MAX
enum { HITS_MOST = 1 << 22 }; /* a thousand times as many as a model has tensors */

/* A read of one operation. */
struct hit {
    struct file_read read;
    uint32_t next; /* of the same column; NO_HIT: none */
};

/* Which rows have how many of a read's bytes; none if `first` is behind `last`. */
struct spread {
    bool known;
    uint32_t part, first, last;
    double of_first, of_row, of_last; /* of_row: of each row in between */
};

struct offsets {
    const struct subject * subject;
    const struct offsets_query * query;
    const struct file_reads * kept; /* or NULL */
    struct file_walk * walk;
    struct grid_tile * tile;
    struct offset_places places;
    double column_ns, row_bytes;

    uint32_t parts, part_of[TAT_COMPONENT_COUNT]; /* components that are in the files, numbered */
    uint32_t component_of[TAT_COMPONENT_COUNT];   /* by that number */

    /* Of each thread: */
    uint32_t first, end;   /* columns that it fills */
    uint32_t column;       /* the one at hand */
    struct tile_band band;
    double * bytes;        /* of its cells: [part][row] */
    struct spread * spreads; /* by kept read, found when first needed */
    uint64_t * times;        /* likewise: how often it was done in this column */
    struct list done;      /* uint32_t: kept reads that were */
    uint64_t * graphs;     /* by template and rule: evaluations that lie in this column */
    struct list evaluated; /* size_t: templates and rules that have any */
    struct list hits;      /* struct hit, of this column and later ones */
    uint32_t * first_hit;  /* by column */
    uint32_t n_hits;       /* that wait for their column */
    bool no_memory;
};

/* ---- the column at hand ---- */

/* The rows of a read's bytes. */
static struct spread spread_of(const struct offsets * o, const struct file_read * read) {
    const struct tat_tensor * tensor = &o->subject->tensors[read->tensor];
    const struct grid_tile * t = o->tile;
    const struct spread nothing = { .known = true, .first = 1 };
    if (o->places.of[read->tensor] == NO_PLACE || !read->extent) { return nothing; }
    const double begin = (double) o->places.of[read->tensor] + (double) (read->offset - tensor->file_offset);
    const double from = (begin - (double) t->y0) / o->row_bytes, high = (double) read->extent / o->row_bytes;
    const double to = from + high, of_row = (double) read->bytes / high;
    if (to <= 0 || from >= t->rows) { return nothing; }
    const uint32_t first = from > 0 ? (uint32_t) from : 0;
    const uint32_t last = to > t->rows ? t->rows - 1 : to > first + 1. ? (uint32_t) ceil(to) - 1 : first;
    const double low = from > first ? from : first, end = to < last + 1. ? to : last + 1.;
    const double of_first = (last == first ? end : first + 1.) - low;
    const uint32_t part = o->part_of[tensor->component];
    return (struct spread){ true, part, first, last, of_row * of_first, of_row, of_row * (end - last) };
}

static void add_to_row(struct offsets * o, uint32_t part, uint32_t row, double bytes) {
    const size_t cell = tile_band_cell(&o->band, o->column, row);
    double * of_part = &o->bytes[(size_t) part * o->tile->rows + row];
    o->band.values[cell] += bytes;
    *of_part += bytes;
    tile_band_propose(&o->band, cell, o->component_of[part], *of_part);
}

static void add_spread(struct offsets * o, const struct spread * s, double times) {
    if (s->first > s->last) { return; }
    add_to_row(o, s->part, s->first, s->of_first * times);
    for (uint32_t row = s->first + 1; row < s->last; row++) { add_to_row(o, s->part, row, s->of_row * times); }
    if (s->last > s->first) { add_to_row(o, s->part, s->last, s->of_last * times); }
}

/* Adds a kept read. */
static void add_kept(struct offsets * o, uint32_t number, uint64_t times) {
    struct spread * s = &o->spreads[number];
    if (!s->known) { *s = spread_of(o, &LIST(struct file_read, o->kept->reads)[number]); }
    add_spread(o, s, (double) times);
}

/* Counts what evaluations have in common. */
static void add_common(struct offsets * o) {
    for (uint32_t i = 0; i < o->evaluated.count; i++) {
        const size_t graph = LIST(size_t, o->evaluated)[i];
        const struct file_reads_list * common = &o->kept->common[graph];
        for (uint32_t r = 0; r < common->count; r++) { add_kept(o, common->numbers[r], o->graphs[graph]); }
        o->graphs[graph] = 0;
    }
    o->evaluated.count = 0;
}

static void add_varying(struct offsets * o) {
    for (uint32_t i = 0; i < o->done.count; i++) {
        const uint32_t read = LIST(uint32_t, o->done)[i];
        add_kept(o, read, o->times[read]);
        o->times[read] = 0;
    }
    o->done.count = 0;
}

static void add_hits(struct offsets * o) {
    for (uint32_t i = o->first_hit[o->column]; i != NO_HIT; i = LIST(struct hit, o->hits)[i].next, o->n_hits--) {
        const struct spread spread = spread_of(o, &LIST(struct hit, o->hits)[i].read);
        add_spread(o, &spread, 1);
    }
    if (o->n_hits == 0) { o->hits.count = 0; }
}

static void end_column(struct offsets * o) {
    if (o->evaluated.count || o->done.count || o->first_hit[o->column] != NO_HIT) {
        memset(o->bytes, 0, (size_t) o->parts * o->tile->rows * sizeof *o->bytes);
        add_common(o);
        add_varying(o);
        add_hits(o);
    }
    tile_band_next(&o->band, o->column++);
}

/* ---- evaluations ---- */

static uint32_t column_of(const struct offsets * o, uint64_t ns) {
    const double column = ns > o->query->t0 ? (double) (ns - o->query->t0) / o->column_ns : 0;
    return column < o->tile->columns ? (uint32_t) column : o->tile->columns - 1;
}

static bool hit(const struct tat_access * records, size_t count, void * user) {
    struct offsets * o = user;
    struct file_read read;
    for (size_t i = 0; i < count && !o->no_memory; i++) {
        const struct tat_access * a = &records[i];
        if (a->start_ns < o->query->t0 || a->start_ns >= o->query->t1) { continue; }
        const uint32_t at = column_of(o, a->start_ns), column = at > o->column ? at : o->column;
        if (at < o->first || at >= o->end || !file_read_of(o->subject, a, &read)) { continue; }
        struct hit * h = o->hits.count < HITS_MOST ? list_add(&o->hits, sizeof *h) : NULL;
        o->no_memory = !h;
        if (!h) { break; }
        *h = (struct hit){ read, o->first_hit[column] };
        o->first_hit[column] = o->hits.count - 1;
        o->n_hits++;
    }
    return true;
}

/* Counts an evaluation that is kept. False: no memory. */
static bool count(struct offsets * o, uint32_t number) {
    const size_t graph = file_reads_graph(&o->subject->evaluations[number]);
    const uint32_t * varying = o->kept->varying.data;
    if (o->graphs[graph]++ == 0) {
        size_t * at = list_add(&o->evaluated, sizeof *at);
        if (!at) { return false; }
        *at = graph;
    }
    for (uint32_t i = o->kept->varying_at[number]; i < o->kept->varying_at[number + 1]; i++) {
        if (o->times[varying[i]]++ != 0) { continue; }
        uint32_t * read = list_add(&o->done, sizeof *read);
        if (!read) { return false; }
        *read = varying[i];
    }
    return true;
}

static int add_evaluation(struct offsets * o, uint32_t number, struct tat_error * error) {
    const struct tat_evaluation * e = &o->subject->evaluations[number];
    const uint32_t from = column_of(o, e->begin_ns), to = column_of(o, e->end_ns);
    if (e->begin_ns <= e->end_ns && (to < o->first || from >= o->end)) { return 0; }
    while (o->column < from && o->column + 1 < o->end) { end_column(o); }
    const bool in_one = e->begin_ns >= o->query->t0 && e->end_ns < o->query->t1 && e->begin_ns <= e->end_ns &&
                        from == o->column && to == o->column;
    if (!in_one || !o->kept || !o->kept->is_kept[number]) { return file_walk_all(o->walk, number, error); }
    o->no_memory |= !count(o, number);
    return 0;
}

static int fill(struct offsets * o, struct tat_error * error) {
    const struct subject * s = o->subject;
    int status = 0;
    for (uint32_t i = 0; i < s->n_evaluations && status == 0 && !o->no_memory; i++) {
        const struct tat_evaluation * e = &s->evaluations[i];
        if (!is_inference(e->phase) || e->end_ns < o->query->t0 || e->begin_ns >= o->query->t1) { continue; }
        status = add_evaluation(o, i, error);
    }
    while (o->column < o->end) { end_column(o); }
    return status;
}

/* ---- the columns of a thread ---- */

static bool begin_columns(struct offsets * o) {
    const uint32_t rows = o->tile->rows, columns = o->tile->columns;
    o->column = o->first;
    o->bytes = calloc((size_t) o->parts * rows + 1, sizeof *o->bytes);
    o->first_hit = malloc(((size_t) columns + 1) * sizeof *o->first_hit);
    o->spreads = calloc(o->kept ? o->kept->reads.count + 1 : 1, sizeof *o->spreads);
    o->times = calloc(o->kept ? o->kept->reads.count + 1 : 1, sizeof *o->times);
    o->graphs = calloc((size_t) o->subject->n_templates * TAT_RULE_COUNT + 1, sizeof *o->graphs);
    o->walk = file_walk_new(o->subject->trace, hit, o);
    if (!o->bytes || !o->first_hit || !o->spreads || !o->times || !o->graphs || !o->walk) { return false; }
    memset(o->first_hit, 0xff, columns * sizeof *o->first_hit);
    return tile_band_begin(&o->band, o->tile, TILE_BAND, o->first, o->end);
}

static void end_columns(struct offsets * o) {
    file_walk_free(o->walk);
    tile_band_free(&o->band);
    free(o->bytes);
    free(o->first_hit);
    free(o->spreads);
    free(o->times);
    free(o->graphs);
    free(o->hits.data);
    free(o->done.data);
    free(o->evaluated.data);
}

static int fill_columns(const void * picture, uint32_t first, uint32_t end, struct tat_error * error) {
    struct offsets o = *(const struct offsets *) picture;
    o.first = first;
    o.end = end;
    o.no_memory = !begin_columns(&o);
    int status = o.no_memory ? -1 : fill(&o, error);
    if (o.no_memory) { status = grid_no_memory(error); }
    end_columns(&o);
    return status;
}

/* ---- */

static void number_parts(struct offsets * o) {
    bool seen[TAT_COMPONENT_COUNT] = { false };
    for (uint32_t i = 0; i < o->subject->n_tensors; i++) {
        const enum tat_component component = o->subject->tensors[i].component;
        if (o->places.of[i] == NO_PLACE || seen[component]) { continue; }
        seen[component] = true;
        o->component_of[o->parts] = component;
        o->part_of[component] = o->parts++;
    }
}

static bool lay_out(struct offsets * o) {
    const struct offsets_query * q = o->query;
    const uint64_t o1 = q->o1 < o->places.end ? q->o1 : o->places.end;
    const uint64_t width = q->t1 > q->t0 ? q->t1 - q->t0 : 0, height = o1 > q->o0 ? o1 - q->o0 : 0;
    const uint32_t columns = width < q->most_columns ? (uint32_t) width : q->most_columns;
    const uint32_t rows = height < q->most_rows ? (uint32_t) height : q->most_rows;
    o->column_ns = columns ? (double) width / columns : 1;
    o->row_bytes = rows ? (double) height / rows : 1;
    number_parts(o);
    return grid_tile_begin(o->tile, q->t0, q->t0 + width, q->o0, q->o0 + height, columns, rows);
}

int view_offsets(const struct subject * subject, const struct offsets_query * query, const struct file_reads * reads,
                 struct grid_tile * tile, struct tat_error * error) {
    struct offsets o = { .subject = subject, .query = query, .kept = reads, .tile = tile };
    *tile = (struct grid_tile){ 0 };
    int status = offset_places_find(&o.places, subject, query->by, error);
    if (status == 0 && !lay_out(&o)) { status = grid_no_memory(error); }
    if (status == 0 && tile->columns && tile->rows) {
        status = column_parts_run(tile->columns, fill_columns, &o, error);
    }
    offset_places_free(&o.places);
    if (status != 0) { grid_tile_free(tile); }
    return status;
}
