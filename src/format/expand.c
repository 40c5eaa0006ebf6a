/* SPDX-License-Identifier: MIT
 *
 * Access records of evaluations: the template's plan, with times, tokens and what the captures say filled in.
 */
#include <stdlib.h>
#include <string.h>

#include "format/captures.h"
#include "format/extent.h"
#include "format/plan.h"

enum { BATCH = 1024 }; /* 64 KiB: stays in the second-level cache */

struct ids {
    size_t first, count; /* in struct expansion's values */
};

struct expansion {
    struct tat_trace * trace;
    tat_access_sink    sink;
    void *             user;
    bool               stopped;

    struct tat_access * batch;
    size_t              n_batch;

    uint64_t * start_ns; /* by callback; one more for the end */
    uint32_t   times_capacity;

    int64_t *      values; /* of all id captures of the evaluation */
    size_t         values_capacity;
    struct ids *   ids; /* by capture */
    uint32_t       ids_capacity;
    uint64_t *     offsets; /* of rows */
    size_t         offsets_capacity;
    struct piece * pieces;
};

static bool reserve(void * array, size_t * capacity, size_t wanted, size_t size) {
    if (wanted <= *capacity) { return true; }
    void * old;
    memcpy(&old, array, sizeof old);
    void * bigger = realloc(old, wanted * 2 * size);
    if (!bigger) { return false; }
    memcpy(array, &bigger, sizeof bigger);
    *capacity = wanted * 2;
    return true;
}

static void flush(struct expansion * x) {
    if (x->n_batch && !x->stopped) { x->stopped = !x->sink(x->batch, x->n_batch, x->user); }
    x->n_batch = 0;
}

/* ---------------------------------------------------------------------------------------------------------- times */

/* When each callback's node began: at the callback before. Returns how many callbacks have times. */
static uint32_t set_times(struct expansion * x, uint32_t evaluation) {
    const struct tat_evaluation * e     = &LIST(struct tat_evaluation, x->trace->evaluations)[evaluation];
    const struct body *           b     = &LIST(struct body, x->trace->bodies)[evaluation];
    const unsigned                shift = x->trace->header.stamp_shift;
    struct tat_in                 in    = { .at = b->stamps, .end = b->stamps + b->stamps_bytes };
    size_t                        room  = x->times_capacity;
    if (!reserve(&x->start_ns, &room, (size_t) e->n_stamps + 2, sizeof x->start_ns[0])) { return 0; }
    x->times_capacity = (uint32_t) room;
    /* One line for the whole evaluation: it is far shorter than the distance of two anchors. */
    const uint64_t duration = b->end_tick - b->begin_tick;
    const double   rate     = duration ? (double) (e->end_ns - e->begin_ns) / (double) duration : 0;
    uint64_t       stamp    = b->begin_tick >> shift;
    x->start_ns[0]          = e->begin_ns;
    for (uint32_t i = 0; i < e->n_stamps; i++) {
        stamp += tat_get_varint(&in);
        const int64_t ticks  = (int64_t) ((stamp << shift) - b->begin_tick);
        const double  within = ticks <= 0 ? 0 : (uint64_t) ticks < duration ? (double) ticks : (double) duration;
        x->start_ns[i + 1]   = e->begin_ns + (uint64_t) (within * rate);
    }
    return e->n_stamps;
}

/* -------------------------------------------------------------------------------------------------------- captures */

/* Reads the row and expert ids. An evaluation without captures leaves all counts 0. */
static bool read_ids(struct expansion * x, const struct tat_template * t, const struct body * b) {
    size_t room = x->ids_capacity;
    if (!reserve(&x->ids, &room, (size_t) t->n_captures + 1, sizeof x->ids[0])) { return false; }
    x->ids_capacity = (uint32_t) room;
    memset(x->ids, 0, (t->n_captures + 1) * sizeof x->ids[0]);
    struct tat_in in   = { .at = b->captures, .end = b->captures + b->captures_bytes };
    size_t        used = 0;
    for (uint32_t i = 0; i < t->n_captures && in.at < in.end; i++) {
        const enum tat_capture_kind kind = t->captures[i].kind;
        const bool wanted = kind == TAT_CAPTURE_ROWS || kind == TAT_CAPTURE_EXPERTS || kind == TAT_CAPTURE_OFFSET;
        const struct tat_in before = in;
        size_t              count;
        if (!capture_next(&in, kind, NULL, 0, &count)) { return true; }
        if (!wanted || count == 0 || count > CAPTURE_VALUES_MAX - used) { continue; }
        if (!reserve(&x->values, &x->values_capacity, used + count, sizeof x->values[0])) { return false; }
        in = before;
        capture_next(&in, kind, x->values + used, count, &count);
        x->ids[i] = (struct ids){ used, count };
        used += count;
    }
    return true;
}

/* ------------------------------------------------------------------------------------------------- varying operands */

static struct tat_access * next_record(struct expansion * x, const struct tat_access * like) {
    if (x->n_batch == BATCH) { flush(x); }
    struct tat_access * a = &x->batch[x->n_batch++];
    *a                    = *like;
    return a;
}

static void put_pieces(struct expansion * x, const struct tat_access * like, uint64_t base, size_t n) {
    for (size_t i = 0; i < n; i++) {
        const struct piece * p = &x->pieces[i];
        plan_set_piece(x->trace, next_record(x, like), base, p->offset, p->run_bytes, p->stride, p->count);
    }
}

static int ascending(const void * a, const void * b) {
    const uint64_t i = *(const uint64_t *) a, j = *(const uint64_t *) b;
    return (i > j) - (i < j);
}

/* One record an expert used, with the expert's slice; or a state. */
static void put_slices(struct expansion * x, const struct vary * v, const struct tat_entry * e,
                       const struct tat_access * like, uint64_t base, struct ids ids) {
    const int           dim    = selection_dimension(v->selection);
    const uint64_t      stride = e->nb[dim];
    const uint64_t      ne[4]  = { e->ne[0], dim > 1 ? e->ne[1] : 1, dim > 2 ? e->ne[2] : 1, 1 };
    const struct extent extent = extent_of(ne, e->nb, e->type_block, e->type_block_bytes);
    const size_t        most   = ids.count < PIECES_MAX ? PIECES_MAX / ids.count : 1;
    for (size_t i = 0; i < ids.count; i++) { x->offsets[i] = (uint64_t) x->values[ids.first + i]; }
    if (ids.count > 1) { qsort(x->offsets, ids.count, sizeof x->offsets[0], ascending); }
    for (size_t i = 0; i < ids.count; i++) {
        const uint64_t id = x->offsets[i];
        if (id >= e->ne[dim] || (i && id == x->offsets[i - 1])) { continue; }
        struct tat_access a = *like;
        if (v->selection != SELECT_STATES && id < TAT_NO_EXPERT) { a.expert = (uint16_t) id; }
        const size_t n = extent_pieces(&extent, id * stride, x->pieces, most);
        if (n <= most) {
            put_pieces(x, &a, base, n);
        } else {
            plan_set_piece(x->trace, &a, base, id * stride, extent_span(&extent), 0, 1);
            a.bytes = extent_bytes(&extent);
            a.flags |= TAT_ACCESS_APPROXIMATE;
            next_record(x, &a);
        }
    }
}

/* The rows that ids name, plane by plane, as GET_ROWS and SET_ROWS step through them: where the ids have fewer planes
 * than the operand, they are used again. Returns how many offsets were made. */
static size_t row_offsets(struct expansion * x, const struct tat_entry * e, const struct tat_entry * ids_entry,
                          struct ids ids) {
    const int64_t * id    = x->values + ids.first;
    const uint64_t  rows  = ids_entry->ne[0] ? ids_entry->ne[0] : 1;
    const uint64_t  id_n2 = ids_entry->ne[1] ? ids_entry->ne[1] : 1;
    const uint64_t  id_n3 = ids.count / (rows * id_n2) ? ids.count / (rows * id_n2) : 1;
    const uint64_t  n2    = e->ne[2] > id_n2 ? e->ne[2] : id_n2;
    const uint64_t  n3    = e->ne[3] > id_n3 ? e->ne[3] : id_n3;
    size_t          n     = 0;
    for (uint64_t i = 0; i < rows * n2 * n3; i++) {
        const uint64_t i2 = i / rows % n2, i3 = i / rows / n2;
        const uint64_t at = i % rows + rows * (i2 % id_n2 + id_n2 * (i3 % id_n3));
        if (at >= ids.count || id[at] < 0 || (uint64_t) id[at] >= e->ne[1]) { continue; }
        x->offsets[n++] = (uint64_t) id[at] * e->nb[1] + i2 % e->ne[2] * e->nb[2] + i3 % e->ne[3] * e->nb[3];
    }
    return n;
}

/* As many ids were read as the shape has: a hostile trace may say otherwise. */
static bool ids_are_all(const struct tat_entry * ids_entry, struct ids ids) {
    uint64_t n = 1;
    for (int i = 0; i < 4; i++) { n *= ids_entry->ne[i]; }
    return n == ids.count;
}

static bool put_rows(struct expansion * x, const struct tat_entry * e, const struct tat_entry * ids_entry,
                     const struct tat_access * like, uint64_t base, struct ids ids) {
    const uint64_t planes = e->ne[2] * e->ne[3];
    if (planes == 0 || planes > CAPTURE_VALUES_MAX / ids.count || !ids_are_all(ids_entry, ids)) {
        *next_record(x, like) = *like;
        return true;
    }
    if (!reserve(&x->offsets, &x->offsets_capacity, ids.count * planes, sizeof x->offsets[0])) { return false; }
    size_t              unique;
    const size_t        n     = row_offsets(x, e, ids_entry, ids);
    const uint64_t      ne[4] = { e->ne[0], 1, 1, 1 };
    const struct extent row   = extent_of(ne, e->nb, e->type_block, e->type_block_bytes);
    const size_t        made  = rows_pieces(x->offsets, n, extent_span(&row), x->pieces, PIECES_MAX, &unique);
    if (made <= PIECES_MAX && row.n_levels == 0) {
        put_pieces(x, like, base, made);
    } else if (n) {
        struct tat_access * a = next_record(x, like);
        a->offset             = base + x->offsets[0];
        a->rows               = unique > UINT32_MAX ? UINT32_MAX : (uint32_t) unique;
        a->bytes              = extent_bytes(&row) * unique;
        a->flags |= TAT_ACCESS_APPROXIMATE;
    }
    return true;
}

static bool put_varying(struct expansion * x, const struct tat_template * t, const struct vary * v,
                        const struct tat_access * like) {
    const struct ids ids = v->capture != UINT32_MAX ? x->ids[v->capture] : (struct ids){ 0 };
    if (ids.count == 0) { /* not captured: the bounds are all that is known, or where the view was at first */
        next_record(x, like)->flags |= TAT_ACCESS_APPROXIMATE;
        return true;
    }
    const struct tat_entry *  e      = &t->entries[v->entry];
    const struct tat_tensor * tensor = &LIST(struct tat_tensor, x->trace->tensors)[e->tensor];
    const bool                copied = tensor->memory == TAT_MEMORY_FILE || tensor->memory == TAT_MEMORY_COPY;
    const uint64_t            base   = (copied && tensor->file ? tensor->file_offset : 0) + (uint64_t) e->offset;
    if (v->selection == SELECT_OFFSET) {
        next_record(x, like)->offset += (uint64_t) x->values[ids.first] - (uint64_t) e->offset;
        return true;
    }
    if (v->selection == SELECT_ROWS) { return put_rows(x, e, &t->entries[v->ids], like, base, ids); }
    if (!reserve(&x->offsets, &x->offsets_capacity, ids.count, sizeof x->offsets[0])) { return false; }
    put_slices(x, v, e, like, base, ids);
    return true;
}

/* ------------------------------------------------------------------------------------------------------- evaluations
 */

struct filler {
    const uint64_t * start_ns;
    uint32_t         n_times, evaluation, token_first;
    uint16_t         flags;
};

static inline void fill(struct tat_access * a, const struct tat_access * from, const struct filler * f) {
    const uint32_t callback = (uint32_t) from->start_ns;
    *a                      = *from;
    a->evaluation           = f->evaluation;
    a->token_first          = f->token_first;
    a->flags                = (uint16_t) (from->flags | f->flags);
    a->start_ns             = f->start_ns[callback];
    const uint64_t duration = f->start_ns[callback + 1] - f->start_ns[callback];
    a->duration_ns          = duration > UINT32_MAX ? UINT32_MAX : (uint32_t) duration;
}

/* Plain records, as many at a time as the batch takes: this loop is where the time goes. */
static void put_plain(struct expansion * x, const struct tat_access * from, uint32_t n, const struct filler * f) {
    while (n && !x->stopped) {
        if (x->n_batch == BATCH) { flush(x); }
        const uint32_t      room = (uint32_t) (BATCH - x->n_batch), now = n < room ? n : room;
        struct tat_access * to = x->batch + x->n_batch;
        for (uint32_t i = 0; i < now; i++) { fill(&to[i], &from[i], f); }
        x->n_batch += now;
        from += now;
        n -= now;
    }
}

/* Of an evaluation that ended early: the records of callbacks that came. */
static uint32_t records_before(const struct plan * plan, uint32_t n_times) {
    uint32_t n = plan->n_records;
    while (n && plan->records[n - 1].start_ns >= n_times) { n--; }
    return n;
}

static bool expand_one(struct expansion * x, uint32_t number) {
    const struct tat_evaluation * e = &LIST(struct tat_evaluation, x->trace->evaluations)[number];
    const struct tat_template *   t = &LIST(struct tat_template, x->trace->templates)[e->template_id];
    /* Which node a time belongs to is unknown; or none was asked for. */
    if (e->flags & (TAT_EVALUATION_UNMATCHED | TAT_EVALUATION_OUTSIDE)) { return true; }
    const struct plan * plan = plan_of(x->trace, e->template_id, e->rule);
    if (!plan) { return false; }
    const uint32_t n_times = set_times(x, number);
    if (!x->start_ns || (plan->n_varies && !read_ids(x, t, &LIST(struct body, x->trace->bodies)[number]))) {
        return false;
    }
    const struct filler f  = { x->start_ns, n_times, number, e->token_first,
                               (uint16_t) ((unsigned) e->phase << TAT_ACCESS_PHASE_SHIFT) };
    const uint32_t      n  = records_before(plan, n_times);
    uint32_t            at = 0;
    for (uint32_t i = 0; i < plan->n_varies && plan->varies[i].record < n && !x->stopped; i++) {
        const struct vary * v = &plan->varies[i];
        put_plain(x, plan->records + at, v->record - at, &f);
        for (uint32_t r = 0; r < v->n_records; r++) {
            struct tat_access like;
            fill(&like, &plan->records[v->record + r], &f);
            if (!put_varying(x, t, v, &like)) { return false; }
        }
        at = v->record + v->n_records;
    }
    if (at < n) { put_plain(x, plan->records + at, n - at, &f); }
    return true;
}

int tat_trace_expand(const struct tat_trace * trace, uint32_t first, uint32_t last, tat_access_sink sink, void * user,
                     struct tat_error * error) {
    struct expansion x = { .trace = (struct tat_trace *) trace, .sink = sink, .user = user };
    x.batch            = aligned_alloc(64, BATCH * sizeof *x.batch);
    x.pieces           = malloc(PIECES_MAX * sizeof *x.pieces);
    bool good          = x.batch && x.pieces;
    if (last > trace->evaluations.count) { last = trace->evaluations.count; }
    for (uint32_t i = first; i < last && good && !x.stopped; i++) { good = expand_one(&x, i); }
    if (good) { flush(&x); }
    free(x.offsets);
    free(x.ids);
    free(x.values);
    free(x.start_ns);
    free(x.pieces);
    free(x.batch);
    if (!good) { return tat_fail(error, TAT_ERROR_SYSTEM, "%s: out of memory", trace->path); }
    return x.stopped ? 1 : 0;
}
