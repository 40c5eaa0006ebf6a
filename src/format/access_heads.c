/* SPDX-License-Identifier: MIT */
#include "format/access_heads.h"

#include <stdlib.h>
#include <string.h>

#include "format/extent.h"

enum {
    PIECES = 16, /* of a head; more than any model has streams of sequences */
    /* Limits, because a hostile trace may ask for any number: */
    ROWS_MAX = 4096,     /* rows of a run, if a record has several */
    SPANS_MAX = 1 << 16, /* heads and streams that a record crosses */
};

struct access_heads {
    const struct tat_trace * trace;
    const struct tat_tensor * tensors;
    const struct tat_template * templates;
    const struct tat_evaluation * evaluations;
    struct head_shapes shapes;
    /* The operand whose parts were all given with its first record */
    uint32_t done_evaluation, done_node;
    uint8_t done_operand;
    bool done;
};

struct access_heads * tat_access_heads_new(const struct tat_trace * trace, struct tat_error * error) {
    uint32_t count;
    struct access_heads * h = calloc(1, sizeof *h);
    if (!h || !head_shapes_find(&h->shapes, trace)) {
        tat_access_heads_free(h);
        tat_fail(error, TAT_ERROR_SYSTEM, "out of memory");
        return NULL;
    }
    h->trace = trace;
    h->tensors = tat_trace_tensors(trace, &count);
    h->evaluations = tat_trace_evaluations(trace, &count);
    h->templates = tat_trace_templates(trace, &count);
    return h;
}

void tat_access_heads_free(struct access_heads * h) {
    if (!h) { return; }
    head_shapes_free(&h->shapes);
    free(h);
}

const struct head_shape * tat_access_heads_shape_at(const struct access_heads * heads, uint32_t template_id,
                                                    uint16_t layer) {
    return head_shape_at(&heads->shapes, template_id, layer);
}

const struct head_shape * tat_access_heads_shape(const struct access_heads * heads, const struct tat_access * record) {
    return head_shape_at(&heads->shapes, heads->evaluations[record->evaluation].template_id, record->layer);
}

/* ---- parts ---- */

struct split {
    struct access_heads * heads;
    const struct tat_access * a;
    struct tat_layout layout;
    const char * op;
    const struct tat_entry * e; /* the operand */
    const struct tat_tensor * tensor;
    const struct head_shape * shape;
    access_part_sink sink;
    void * user;
    bool going;
};

/* A part of heads [first, first + count). */
static void give(struct split * s, uint64_t first, uint64_t count, struct piece piece) {
    if (!s->going) { return; }
    struct tat_access a = *s->a;
    a.head_first = (uint16_t) first;
    a.head_count = (uint16_t) count;
    a.offset = piece.offset;
    a.bytes = piece.run_bytes * piece.count;
    a.rows = (uint32_t) piece.count;
    a.layout = 0; /* a layout number belongs to the trace; the sink gets the layout itself */
    a.flags &= (uint16_t) ~TAT_ACCESS_STRIDED;
    if (piece.count > 1) { a.flags |= TAT_ACCESS_STRIDED; }
    s->going = s->sink(&a, (struct tat_layout){ piece.run_bytes, piece.count > 1 ? piece.stride : 0 }, s->user);
}

/* The bytes of a row of so many elements of the operand's type; 0 if that is not a whole number of blocks. */
static uint64_t row_bytes(const struct tat_entry * e, uint64_t elements) {
    return elements % e->type_block ? 0 : elements / e->type_block * e->type_block_bytes;
}

/* How many neighbouring heads of `size` elements share blocks of the type and so make one part. 0: they cannot be
 * divided so. */
static uint64_t heads_together(const struct tat_entry * e, uint64_t size, uint64_t n_heads) {
    uint64_t together = 1;
    while (together < n_heads && size * together % e->type_block) { together++; }
    return size * together % e->type_block || n_heads % together ? 0 : together;
}

/* Gives equal parts of each of `rows`, which hold all heads. */
static bool split_columns(struct split * s, uint64_t n_heads, uint64_t size, struct piece rows) {
    const uint64_t together = heads_together(s->e, size, n_heads), part = row_bytes(s->e, size * together);
    if (!together) { return false; }
    for (uint64_t head = 0; head < n_heads; head += together) {
        give(s, head, together, (struct piece){ rows.offset + head / together * part, part, rows.stride, rows.count });
    }
    return true;
}

/* ---- cache ---- */

/* K or V as attention reads it: a plane for each head. */
static bool split_planes(struct split * s) {
    const struct tat_entry * e = s->e;
    const uint64_t n_heads = s->shape->n_head_kv, ne[4] = { e->ne[0], e->ne[1], 1, e->ne[3] };
    const struct extent all = extent_of(e->ne, e->nb, e->type_block, e->type_block_bytes);
    const struct extent plane = extent_of(ne, e->nb, e->type_block, e->type_block_bytes);
    struct piece pieces[PIECES];
    const size_t n = extent_pieces(&plane, 0, pieces, PIECES);
    if (e->ne[2] != n_heads || n == 0 || n > PIECES || pieces[0].count > UINT32_MAX) { return false; }
    if (extent_bytes(&plane) > extent_bytes(&all) || extent_bytes(&plane) * n_heads != extent_bytes(&all)) {
        return false; /* heads on top of each other */
    }
    for (uint64_t head = 0; head < n_heads; head++) {
        for (size_t i = 0; i < n; i++) {
            struct piece piece = pieces[i];
            piece.offset += s->a->offset + head * e->nb[2];
            give(s, head, 1, piece);
        }
    }
    return true;
}

/* New rows of the cache; a run holds some of them. */
static bool split_rows_written(struct split * s, uint64_t size) {
    const struct tat_access * a = s->a;
    const uint64_t row = row_bytes(s->e, s->shape->n_head_kv * size);
    const uint64_t run = a->rows > 1 ? s->layout.run_bytes : a->bytes;
    if (row == 0 || run % row || a->offset % row || s->tensor->ne[0] % (s->shape->n_head_kv * size)) { return false; }
    if (a->rows == 1) {
        return split_columns(s, s->shape->n_head_kv, size, (struct piece){ a->offset, row, row, run / row });
    }
    if (run / row > ROWS_MAX) { return false; }
    for (uint64_t i = 0; i < run / row; i++) {
        const struct piece rows = { a->offset + i * row, row, s->layout.stride, a->rows };
        if (!split_columns(s, s->shape->n_head_kv, size, rows)) { return false; } /* none, or given with the first */
    }
    return true;
}

/* Gives parts of bytes in which heads follow each other, `span` bytes each. */
static void give_range(struct split * s, uint64_t span, uint64_t at, uint64_t bytes) {
    while (bytes) {
        const uint64_t left = span - at % span, now = bytes < left ? bytes : left;
        give(s, at / span % s->shape->n_head_kv, 1, (struct piece){ at, now, 0, 1 });
        at += now;
        bytes -= now;
    }
}

/* The same for runs: the runs that begin in a head's span are one part, and the last may reach into the next span. */
static void give_runs(struct split * s, uint64_t span, uint64_t at, uint64_t run, uint64_t stride, uint64_t rows) {
    while (rows) {
        const uint64_t end = (at / span + 1) * span;
        const uint64_t begun = (end - at + stride - 1) / stride, n = rows < begun ? rows : begun;
        const uint64_t last = at + (n - 1) * stride;
        const uint64_t whole = last + run <= end ? n : n - 1;
        if (whole) { give(s, at / span % s->shape->n_head_kv, 1, (struct piece){ at, run, stride, whole }); }
        if (whole < n) { give_range(s, span, last, run); }
        at += n * stride;
        rows -= n;
    }
}

/* New columns of a transposed V: all cells of one element, then those of the next, stream after stream. */
static bool split_columns_written(struct split * s) {
    const struct tat_access * a = s->a;
    const uint64_t elements = s->shape->n_head_kv * s->shape->v_size;
    const uint64_t stream = s->tensor->ne[0] * s->tensor->ne[1]; /* elements; old caches have one dimension */
    const uint64_t line = elements ? row_bytes(s->e, stream / elements) : 0;
    const uint64_t span = line * s->shape->v_size;
    const uint64_t reach = a->rows > 1 ? s->layout.stride * (a->rows - 1) + s->layout.run_bytes : a->bytes;
    if (span == 0 || stream % elements || reach / span > SPANS_MAX) { return false; }
    if (a->rows > 1 && s->layout.stride == 0) { return false; }
    if (a->rows == 1) {
        give_range(s, span, a->offset, a->bytes);
    } else {
        give_runs(s, span, a->offset, s->layout.run_bytes, s->layout.stride, a->rows);
    }
    return true;
}

/* K and V of attention. A mask, of which only some rows are read, could also be in the cache if a trace says so. */
static bool reads_whole_planes(const char * op, unsigned operand) {
    if (strcmp(op, "FLASH_ATTN_EXT") == 0) { return operand == 2 || operand == 3; }
    return strcmp(op, "MUL_MAT") == 0 && operand == 1;
}

static bool split_cache(struct split * s) {
    struct access_heads * h = s->heads;
    const bool is_k = s->tensor->component == TAT_COMPONENT_KV_K;
    if (s->a->flags & TAT_ACCESS_WRITE) {
        if (!is_k && s->shape->v_transposed) { return split_columns_written(s); }
        return split_rows_written(s, is_k ? s->shape->k_size : s->shape->v_size);
    }
    if (!reads_whole_planes(s->op, s->a->operand)) { return false; }
    h->done = split_planes(s);
    h->done_evaluation = s->a->evaluation;
    h->done_node = s->a->node;
    h->done_operand = s->a->operand;
    return h->done;
}

/* ---- weights ---- */

static bool split_rows(struct split * s, uint64_t n_heads, uint64_t size) {
    const uint64_t part = size * s->e->nb[1];
    if (size == 0 || s->e->ne[1] != n_heads * size) { return false; }
    for (uint64_t head = 0; head < n_heads; head++) {
        give(s, head, 1, (struct piece){ s->a->offset + head * part, part, 0, 1 });
    }
    return true;
}

static bool split_weight(struct split * s) {
    const struct tat_entry * e = s->e;
    const struct head_shape * shape = s->shape;
    const uint64_t row = row_bytes(e, e->ne[0]);
    const bool whole = e->ne[2] == 1 && e->ne[3] == 1 && e->nb[1] == row && s->a->rows == 1 &&
                       s->a->bytes / e->ne[1] == row && s->a->bytes % e->ne[1] == 0;
    if (!whole || row == 0 || strcmp(s->op, "MUL_MAT") != 0 || s->a->operand != 1) { return false; }
    switch (s->tensor->component) {
        case TAT_COMPONENT_ATTN_Q: return split_rows(s, shape->n_head, shape->k_size);
        case TAT_COMPONENT_ATTN_K: return split_rows(s, shape->n_head_kv, shape->k_size);
        case TAT_COMPONENT_ATTN_V: return split_rows(s, shape->n_head_kv, shape->v_size);
        case TAT_COMPONENT_ATTN_OUTPUT:
            return shape->v_size && e->ne[0] == shape->n_head * shape->v_size &&
                   split_columns(s, shape->n_head, shape->v_size, (struct piece){ s->a->offset, row, row, e->ne[1] });
        default: return false;
    }
}

/* ----  ---- */

/* Gives the parts of a record. False: it has none. */
static bool split(struct split * s) {
    const enum tat_component component = s->tensor->component;
    if (!s->shape || s->a->bytes == 0 || (s->a->flags & TAT_ACCESS_APPROXIMATE)) { return false; }
    if (s->tensor->kind == TAT_TENSOR_WEIGHT) { return split_weight(s); }
    return s->tensor->kind == TAT_TENSOR_STATE &&
           (component == TAT_COMPONENT_KV_K || component == TAT_COMPONENT_KV_V) && split_cache(s);
}

static bool is_done(const struct access_heads * h, const struct tat_access * a) {
    return h->done && a->evaluation == h->done_evaluation && a->node == h->done_node && a->operand == h->done_operand;
}

static const struct tat_entry * operand_of(const struct tat_template * t, const struct tat_access * a) {
    const struct tat_entry * node = &t->entries[t->n_leaves + a->node];
    return a->operand ? &t->entries[node->src[a->operand - 1]] : node;
}

bool tat_access_heads_split(struct access_heads * h, const struct tat_access * records, size_t count,
                            access_part_sink sink, void * user) {
    bool going = true;
    for (size_t i = 0; i < count && going; i++) {
        const struct tat_access * a = &records[i];
        const uint32_t template_id = h->evaluations[a->evaluation].template_id;
        const struct tat_template * t = &h->templates[template_id];
        if (is_done(h, a)) { continue; }
        struct split s = {
            .heads = h,
            .a = a,
            .op = t->entries[t->n_leaves + a->node].op,
            .e = operand_of(t, a),
            .tensor = &h->tensors[a->tensor],
            .shape = head_shape_at(&h->shapes, template_id, a->layer),
            .sink = sink,
            .user = user,
            .going = true,
        };
        if (a->layout) { s.layout = tat_trace_layout(h->trace, a->layout); }
        going = split(&s) ? s.going : sink(a, s.layout, user);
    }
    return going;
}
