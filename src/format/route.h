/* SPDX-License-Identifier: MIT
 *
 * What captures tell of routing: which of an evaluation's rows a router's row is, and which gates belong to which
 * choice. For whoever walks over the captures of an evaluation in order. All of it is here, as both objects of libtat.a
 * need it.
 */
#ifndef TAT_FORMAT_ROUTE_H
#define TAT_FORMAT_ROUTE_H

#include "format/list.h"
#include "format/rows_from.h"
#include "tat/trace.h"

enum route_event {
    ROUTE_NOTHING,
    ROUTE_CHOICE, /* the values are ids of experts, [row][slot] */
    ROUTE_GATES,  /* the values are gates (bits of floats) of the choice before, one for each of its ids */
};

/* Begins zeroed; route_begin starts it anew for each evaluation. */
struct route {
    const struct tat_template * t;
    const struct tat_tensor * tensors;
    struct list outputs; /* uint32_t: the rows whose output is wanted, once picked; TAT_NO_ROW: no such row */
    uint16_t layer;      /* of the choice, or TAT_NO_LAYER */
    uint64_t slots;      /* per row of the choice; 0: the choice makes no sense */
    size_t rows, count;  /* of the choice; `count` of its ids */
    bool gated, failed;  /* the choice has its gates; no memory */
};

static inline void route_begin(struct route * r, const struct tat_template * t, const struct tat_tensor * tensors) {
    *r = (struct route){ .t = t, .tensors = tensors, .outputs = r->outputs, .failed = r->failed };
    r->outputs.count = 0;
    r->gated = true; /* there is no choice yet */
}

static inline void route_free(struct route * r) {
    free(r->outputs.data);
}

/* The layer is named by the node that uses the ids, or by the ids. */
static inline uint16_t route_layer_of(const struct tat_template * t, const struct tat_capture * c) {
    const uint16_t of = t->entries[t->n_leaves + c->node].layer;
    return of != TAT_NO_LAYER ? of : t->entries[c->entry].layer;
}

static inline void route_take_outputs(struct route * r, const int64_t * values, size_t count) {
    r->outputs.count = 0;
    uint32_t * rows = count ? list_extend(&r->outputs, sizeof *rows, count) : NULL;
    r->failed |= count && !rows;
    for (size_t i = 0; rows && i < count; i++) {
        const bool right = values[i] >= 0 && (uint64_t) values[i] < r->t->n_tokens;
        rows[i] = right ? (uint32_t) values[i] : TAT_NO_ROW;
    }
}

static inline enum route_event route_feed(struct route * r, uint32_t capture, const int64_t * values, size_t count) {
    const struct tat_capture * c = &r->t->captures[capture];
    if (picks_output_rows(r->t, r->tensors, c)) { route_take_outputs(r, values, count); }
    if (c->kind == TAT_CAPTURE_EXPERTS) {
        const uint64_t slots = r->t->entries[c->entry].ne[0];
        r->layer = route_layer_of(r->t, c);
        r->slots = slots <= TAT_NO_EXPERT ? slots : 0;
        r->rows = r->slots ? count / r->slots : 0;
        r->count = r->slots ? count : 0;
        r->gated = count == 0;
        return ROUTE_CHOICE;
    }
    const bool fits =
        c->kind == TAT_CAPTURE_GATES && !r->gated && count == r->count && route_layer_of(r->t, c) == r->layer;
    if (!fits) { return ROUTE_NOTHING; }
    r->gated = true;
    return ROUTE_GATES;
}

/* Which of the evaluation's rows a row of the choice is, or TAT_NO_ROW. A layer routes all rows or, as the last layer
 * does, those whose output is wanted. */
static inline uint32_t route_row(const struct route * r, size_t row) {
    if (row >= r->rows) { return TAT_NO_ROW; } /* the rest of a damaged choice */
    if (r->rows == r->t->n_tokens) { return (uint32_t) row; }
    return r->rows == r->outputs.count ? LIST(const uint32_t, r->outputs)[row] : TAT_NO_ROW;
}

#endif
