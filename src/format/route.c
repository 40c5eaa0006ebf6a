/* SPDX-License-Identifier: MIT */
#include "format/route.h"

#include <stdlib.h>

#include "format/rows_from.h"

void route_begin(struct route * r, const struct tat_template * t, const struct tat_tensor * tensors) {
    *r = (struct route){ .t = t, .tensors = tensors, .outputs = r->outputs, .failed = r->failed };
    r->outputs.count = 0;
    r->gated = true; /* there is no choice yet */
}

void route_free(struct route * r) {
    free(r->outputs.data);
}

/* A layer's name is on the node that uses the ids, or on the ids. */
static uint16_t layer_of(const struct tat_template * t, const struct tat_capture * c) {
    const uint16_t of = t->entries[t->n_leaves + c->node].layer;
    return of != TAT_NO_LAYER ? of : t->entries[c->entry].layer;
}

static void take_outputs(struct route * r, const int64_t * values, size_t count) {
    r->outputs.count = 0;
    uint32_t * rows = count ? list_extend(&r->outputs, sizeof *rows, count) : NULL;
    r->failed |= count && !rows;
    for (size_t i = 0; rows && i < count; i++) {
        const bool right = values[i] >= 0 && (uint64_t) values[i] < r->t->n_tokens;
        rows[i] = right ? (uint32_t) values[i] : TAT_NO_ROW;
    }
}

enum route_event route_feed(struct route * r, uint32_t capture, const int64_t * values, size_t count) {
    const struct tat_capture * c = &r->t->captures[capture];
    if (picks_output_rows(r->t, r->tensors, c)) { take_outputs(r, values, count); }
    if (c->kind == TAT_CAPTURE_EXPERTS) {
        const uint64_t slots = r->t->entries[c->entry].ne[0];
        r->layer = layer_of(r->t, c);
        r->slots = slots <= TAT_NO_EXPERT ? slots : 0;
        r->rows = r->slots ? count / r->slots : 0;
        r->count = r->slots ? count : 0;
        r->gated = count == 0;
        return ROUTE_CHOICE;
    }
    const bool fits = c->kind == TAT_CAPTURE_GATES && !r->gated && count == r->count && layer_of(r->t, c) == r->layer;
    if (!fits) { return ROUTE_NOTHING; }
    r->gated = true;
    return ROUTE_GATES;
}

uint32_t route_row(const struct route * r, size_t row) {
    if (row >= r->rows) { return TAT_NO_ROW; } /* what is left of a damaged one */
    if (r->rows == r->t->n_tokens) { return (uint32_t) row; }
    return r->rows == r->outputs.count ? LIST(const uint32_t, r->outputs)[row] : TAT_NO_ROW;
}
