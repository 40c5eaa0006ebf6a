/* SPDX-License-Identifier: MIT */
#include "analysis/order/access_slices.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- slices ---- */

static uint32_t * slot_of(const struct order_slices * s, const struct order_slice * x) {
    uint64_t h = (x->offset ^ (uint64_t) x->tensor << 40) * 0x9e3779b97f4a7c15u;
    h = (h ^ h >> 32 ^ x->bytes) * 0xd6e8feb86659fd93u;
    uint32_t i = (uint32_t) (h >> 32) & s->mask;
    for (; s->index[i]; i = (i + 1) & s->mask) {
        if (slice_is(&s->at[s->index[i] - 1], x)) { break; }
    }
    return &s->index[i];
}

static bool grow(struct order_slices * s) {
    const uint32_t capacity = s->capacity ? s->capacity * 2 : 1024;
    uint32_t * index = calloc((size_t) capacity * 2, sizeof *index);
    struct order_slice * at = index ? realloc(s->at, capacity * sizeof *at) : NULL;
    uint64_t * bytes = at ? realloc(s->bytes, capacity * sizeof *bytes) : NULL;
    if (at) { s->at = at; }
    if (!bytes) {
        free(index);
        s->failed = true;
        return false;
    }
    free(s->index);
    s->bytes = bytes;
    s->index = index;
    s->capacity = capacity;
    s->mask = capacity * 2 - 1;
    for (uint32_t i = 0; i < s->count; i++) { *slot_of(s, &at[i]) = i + 1; }
    return true;
}

uint32_t slice_number(struct order_slices * s, const struct order_slice * slice) {
    if (s->count == s->capacity && !grow(s)) { return NO_ORDER_SLICE; }
    uint32_t * slot = slot_of(s, slice);
    if (*slot) { return *slot - 1; }
    if (s->count == SLICES_MAX - 1) {
        s->full = true;
        return SLICES_MAX - 2;
    }
    s->at[s->count] = *slice;
    s->bytes[s->count] = slice->bytes;
    *slot = ++s->count;
    return s->count - 1;
}

void order_slices_free(struct order_slices * s) {
    free(s->at);
    free(s->bytes);
    free(s->index);
}

const char * slice_text(char text[static SLICE_TEXT], const struct subject * subject, const struct order_slices * s,
                        uint32_t slice) {
    if (slice == NO_ORDER_SLICE) {
        snprintf(text, SLICE_TEXT, "nothing");
        return text;
    }
    const struct order_slice * x = &s->at[slice];
    const struct tat_tensor * t = &subject->tensors[x->tensor];
    if (x->expert != TAT_NO_EXPERT) {
        snprintf(text, SLICE_TEXT, "%.200s, expert %u", t->name, x->expert);
    } else if (x->rows || x->bytes == t->bytes) {
        snprintf(text, SLICE_TEXT, "%.200s", t->name);
    } else {
        snprintf(text, SLICE_TEXT, "%.150s, %" PRIu64 " bytes at %" PRIu64 " in the file", t->name, x->bytes,
                 x->offset);
    }
    return text;
}

/* ---- sequence ---- */

void sequence_begin(struct sequence * q, uint32_t evaluation) {
    q->evaluation = evaluation;
    q->n_steps = q->n_slices = 0;
    q->cut = false;
}

static bool reserve(uint32_t ** array, uint32_t capacity) {
    uint32_t * bigger = realloc(*array, capacity * sizeof **array);
    if (bigger) { *array = bigger; }
    return bigger != NULL;
}

static bool make_room(struct sequence * q) {
    if (q->n_steps + 1 >= q->steps_capacity) {
        const uint32_t n = q->steps_capacity ? q->steps_capacity * 2 : 512;
        if (!reserve(&q->tensor, n) || !reserve(&q->place, n) || !reserve(&q->first, n)) { return false; }
        q->steps_capacity = n;
    }
    if (q->n_slices == q->slices_capacity) {
        const uint32_t n = q->slices_capacity ? q->slices_capacity * 2 : 512;
        if (!reserve(&q->slice, n)) { return false; }
        q->slices_capacity = n;
    }
    return true;
}

void sequence_add(struct sequence * q, uint32_t tensor, uint32_t place, uint32_t slice) {
    const bool known = q->n_steps && q->place[q->n_steps - 1] == place;
    if (known && q->slice[q->n_slices - 1] == slice) { return; } /* more rows of an embedding */
    if (q->n_slices == SEQUENCE_MAX || slice == NO_ORDER_SLICE || !make_room(q)) {
        q->cut |= q->n_slices == SEQUENCE_MAX;
        q->failed |= q->n_slices != SEQUENCE_MAX;
        return;
    }
    if (!known) {
        q->tensor[q->n_steps] = tensor;
        q->place[q->n_steps] = place;
        q->first[q->n_steps++] = q->n_slices;
    }
    q->slice[q->n_slices++] = slice;
    q->first[q->n_steps] = q->n_slices;
}

void sequence_free(struct sequence * q) {
    free(q->tensor);
    free(q->place);
    free(q->first);
    free(q->slice);
}
