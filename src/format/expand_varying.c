/* SPDX-License-Identifier: MIT
 *
 * Operands whose records differ from one evaluation to the next: rows, experts, states, views that move.
 */
#include <stdlib.h>
#include <string.h>

#include "format/captures.h"
#include "format/expand_state.h"
#include "format/extent.h"

static void put_pieces(struct expansion * x, const struct tat_access * like, uint64_t base, const struct piece * pieces,
                       size_t n) {
    for (size_t i = 0; i < n; i++) {
        const struct piece * p = &pieces[i];
        plan_set_piece(x->trace, expansion_next(x, like), base, p->offset, p->run_bytes, p->stride, p->count);
    }
}

static int ascending(const void * a, const void * b) {
    const uint64_t i = *(const uint64_t *) a, j = *(const uint64_t *) b;
    return (i > j) - (i < j);
}

/* There are few ids as a rule. */
static void sort(uint64_t * ids, size_t count) {
    enum { FEW = 16 };
    if (count > FEW) {
        qsort(ids, count, sizeof ids[0], ascending);
        return;
    }
    for (size_t i = 1; i < count; i++) {
        const uint64_t id = ids[i];
        size_t at = i;
        for (; at > 0 && ids[at - 1] > id; at--) { ids[at] = ids[at - 1]; }
        ids[at] = id;
    }
}

/* Makes a record of bytes without a gap. */
static struct tat_access * put_run(struct expansion * x, const struct tat_access * like, uint64_t offset,
                                   uint64_t bytes) {
    struct tat_access * a = expansion_next(x, like);
    a->offset = offset;
    a->bytes = bytes;
    a->rows = 1;
    a->layout = 0;
    a->flags &= (uint16_t) ~(TAT_ACCESS_STRIDED | TAT_ACCESS_APPROXIMATE);
    return a;
}

/* Makes a record for each expert used, with the expert's slice, or for each state. */
static void put_slices(struct expansion * x, const struct vary * v, const struct tat_entry * e,
                       const struct tat_access * like, uint64_t base, struct ids ids) {
    const int dim = use_dimension(v->use);
    const uint64_t stride = e->nb[dim];
    const size_t most = ids.count < PIECES_MAX ? PIECES_MAX / ids.count : 1;
    for (size_t i = 0; i < ids.count; i++) { x->offsets[i] = (uint64_t) x->values[ids.first + i]; }
    sort(x->offsets, ids.count);
    for (size_t i = 0; i < ids.count; i++) {
        const uint64_t id = x->offsets[i];
        if (id >= e->ne[dim] || (i && id == x->offsets[i - 1])) { continue; }
        const uint16_t expert = v->use != USE_STATES && id < TAT_NO_EXPERT ? (uint16_t) id : TAT_NO_EXPERT;
        if (v->one.n_levels == 0 && v->one.run_bytes) {
            put_run(x, like, base + id * stride, v->one.run_bytes)->expert = expert;
            continue;
        }
        struct tat_access a = *like;
        a.expert = expert;
        const size_t n = extent_pieces(&v->one, id * stride, x->pieces, most);
        if (n <= most) {
            put_pieces(x, &a, base, x->pieces, n);
        } else {
            plan_set_piece(x->trace, &a, base, id * stride, extent_span(&v->one), 0, 1);
            a.bytes = extent_bytes(&v->one);
            a.flags |= TAT_ACCESS_APPROXIMATE;
            expansion_next(x, &a);
        }
    }
}

/* The rows that ids name, plane by plane, as GET_ROWS and SET_ROWS step through them. Where the ids have fewer planes
 * than the operand, they are used again. Returns how many offsets were made. */
static size_t row_offsets(struct expansion * x, const struct tat_entry * e, const struct tat_entry * ids_entry,
                          struct ids ids) {
    const int64_t * id = x->values + ids.first;
    const uint64_t rows = ids_entry->ne[0] ? ids_entry->ne[0] : 1;
    const uint64_t id_n2 = ids_entry->ne[1] ? ids_entry->ne[1] : 1;
    const uint64_t id_n3 = ids.count / (rows * id_n2) ? ids.count / (rows * id_n2) : 1;
    const uint64_t n2 = e->ne[2] > id_n2 ? e->ne[2] : id_n2;
    const uint64_t n3 = e->ne[3] > id_n3 ? e->ne[3] : id_n3;
    size_t n = 0;
    for (uint64_t i = 0; i < rows * n2 * n3; i++) {
        const uint64_t i2 = i / rows % n2, i3 = i / rows / n2;
        const uint64_t at = i % rows + rows * (i2 % id_n2 + id_n2 * (i3 % id_n3));
        if (at >= ids.count || id[at] < 0 || (uint64_t) id[at] >= e->ne[1]) { continue; }
        x->offsets[n++] = (uint64_t) id[at] * e->nb[1] + i2 % e->ne[2] * e->nb[2] + i3 % e->ne[3] * e->nb[3];
    }
    return n;
}

/* Were as many ids read as the shape has? A hostile trace may have others. */
static bool ids_are_all(const struct tat_entry * ids_entry, struct ids ids) {
    uint64_t n = 1;
    for (int i = 0; i < 4; i++) { n *= ids_entry->ne[i]; }
    return n == ids.count;
}

/* The one row of a token, in a graph of one token. */
static bool put_one_row(struct expansion * x, const struct vary * v, const struct tat_entry * e,
                        const struct tat_access * like, uint64_t base, struct ids ids) {
    const int64_t id = x->values[ids.first];
    if (ids.count != 1 || e->ne[2] != 1 || e->ne[3] != 1 || v->one.n_levels || !v->one.run_bytes) { return false; }
    if (id >= 0 && (uint64_t) id < e->ne[1]) { put_run(x, like, base + (uint64_t) id * e->nb[1], v->one.run_bytes); }
    return true;
}

static bool is_kept(const struct rows_kept * k, const struct tat_entry * e, const struct tat_entry * ids,
                    const struct vary * v) {
    return k->known && k->capture == v->capture && k->row_bytes == extent_span(&v->one) &&
           memcmp(k->ne, e->ne, sizeof e->ne) == 0 && memcmp(k->nb, e->nb, sizeof e->nb) == 0 &&
           memcmp(k->ids_ne, ids->ne, sizeof ids->ne) == 0;
}

/* All layers' caches use the same rows, so the pieces are made once. */
static bool keep_rows(struct expansion * x, struct rows_kept * k, const struct vary * v, const struct tat_entry * e,
                      const struct tat_entry * ids_entry, struct ids ids) {
    const uint64_t planes = e->ne[2] * e->ne[3];
    if (!bodies_may_work(&x->bodies, ids.count * planes) ||
        !expansion_reserve(&x->offsets, &x->offsets_capacity, ids.count * planes, sizeof x->offsets[0])) {
        return false;
    }
    const size_t n = row_offsets(x, e, ids_entry, ids);
    k->known = false;
    k->n = rows_pieces(x->offsets, n, extent_span(&v->one), x->pieces, PIECES_MAX, &k->unique);
    k->first = n ? x->offsets[0] : 0;
    if (k->n <= PIECES_MAX) {
        if (!expansion_reserve(&k->pieces, &k->capacity, k->n + 1, sizeof k->pieces[0])) { return false; }
        memcpy(k->pieces, x->pieces, k->n * sizeof k->pieces[0]);
    }
    k->capture = v->capture;
    k->row_bytes = extent_span(&v->one);
    memcpy(k->ne, e->ne, sizeof k->ne);
    memcpy(k->nb, e->nb, sizeof k->nb);
    memcpy(k->ids_ne, ids_entry->ne, sizeof k->ids_ne);
    k->known = true;
    return true;
}

static bool put_rows(struct expansion * x, const struct vary * v, const struct tat_entry * e,
                     const struct tat_entry * ids_entry, const struct tat_access * like, uint64_t base,
                     struct ids ids) {
    const uint64_t planes = e->ne[2] * e->ne[3];
    if (planes == 0 || planes > CAPTURE_VALUES_MAX / ids.count || !ids_are_all(ids_entry, ids)) {
        expansion_next(x, like);
        return true;
    }
    if (put_one_row(x, v, e, like, base, ids)) { return true; }
    struct rows_kept * k = &x->kept[v->capture % ROWS_KEPT];
    if (!is_kept(k, e, ids_entry, v) && !keep_rows(x, k, v, e, ids_entry, ids)) { return false; }
    if (k->n <= PIECES_MAX && v->one.n_levels == 0) {
        put_pieces(x, like, base, k->pieces, k->n);
    } else if (k->unique) {
        struct tat_access * a = expansion_next(x, like);
        a->offset = base + k->first;
        a->rows = k->unique > UINT32_MAX ? UINT32_MAX : (uint32_t) k->unique;
        a->bytes = extent_bytes(&v->one) * k->unique;
        a->flags |= TAT_ACCESS_APPROXIMATE;
    }
    return true;
}

bool expansion_varying(struct expansion * x, const struct tat_template * t, const struct vary * v,
                       const struct tat_access * like) {
    const struct ids ids = v->capture != UINT32_MAX ? x->ids[v->capture] : (struct ids){ 0 };
    if (ids.count == 0) { /* not captured: only bounds are known, or where the view was at first */
        expansion_next(x, like)->flags |= TAT_ACCESS_APPROXIMATE;
        return true;
    }
    const struct tat_entry * e = &t->entries[v->entry];
    const struct tat_tensor * tensor = &LIST(struct tat_tensor, x->trace->tensors)[e->tensor];
    const bool copied = tensor->memory == TAT_MEMORY_FILE || tensor->memory == TAT_MEMORY_COPY;
    const uint64_t base = (copied && tensor->file ? tensor->file_offset : 0) + (uint64_t) e->offset;
    if (v->use == USE_OFFSET) {
        expansion_next(x, like)->offset += (uint64_t) x->values[ids.first] - (uint64_t) e->offset;
        return true;
    }
    if (v->use == USE_ROWS) { return put_rows(x, v, e, &t->entries[v->ids], like, base, ids); }
    if (!bodies_may_work(&x->bodies, ids.count) ||
        !expansion_reserve(&x->offsets, &x->offsets_capacity, ids.count, sizeof x->offsets[0])) {
        return false;
    }
    put_slices(x, v, e, like, base, ids);
    return true;
}
