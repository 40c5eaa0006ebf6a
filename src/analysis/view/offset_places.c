/* SPDX-License-Identifier: MIT */
#include "analysis/view/offset_places.h"

#include <stdlib.h>
#include <string.h>

struct placing {
    const struct subject * subject;
    struct offset_places * places;
};

static void place_by_file(struct offset_places * p, const struct subject * s) {
    for (uint32_t i = 0; i < s->n_tensors; i++) {
        const struct tat_tensor * t = &s->tensors[i];
        uint64_t base = 0;
        for (uint32_t f = 0; t->file && f + 1 < t->file && f < s->n_files; f++) { base += s->files[f].size; }
        p->of[i] = t->file ? base + t->file_offset : NO_PLACE;
    }
    for (uint32_t f = 0; f < s->n_files; f++) { p->end += s->files[f].size; }
}

static bool place_next(const struct tat_access * records, size_t count, void * user) {
    const struct placing * placing = user;
    struct offset_places * p = placing->places;
    for (size_t i = 0; i < count; i++) {
        const struct tat_tensor * t = &placing->subject->tensors[records[i].tensor];
        if (!records[i].bytes || !t->file || p->of[t->weight] != NO_PLACE) { continue; }
        p->of[t->weight] = p->end;
        p->end += t->bytes;
    }
    return true;
}

/* By the first graph of each template that is of inference: others repeat them. */
static int place_by_order(struct offset_places * p, const struct subject * s, struct tat_error * error) {
    struct placing placing = { s, p };
    bool * seen = calloc((size_t) s->n_templates + 1, sizeof *seen);
    int status = seen ? 0 : tat_fail(error, TAT_ERROR_SYSTEM, "out of memory");
    memset(p->of, 0xff, s->n_tensors * sizeof *p->of);
    for (uint32_t i = 0; i < s->n_evaluations && status == 0; i++) {
        const struct tat_evaluation * e = &s->evaluations[i];
        if (!is_inference(e->phase) || e->template_id >= s->n_templates || seen[e->template_id]) { continue; }
        seen[e->template_id] = true;
        status = tat_trace_expand(s->trace, i, i + 1, place_next, &placing, error);
    }
    for (uint32_t i = 0; i < s->n_tensors; i++) { p->of[i] = p->of[s->tensors[i].weight]; }
    free(seen);
    return status;
}

int offset_places_find(struct offset_places * p, const struct subject * s, enum offsets_by by,
                       struct tat_error * error) {
    *p = (struct offset_places){ .of = malloc(((size_t) s->n_tensors + 1) * sizeof *p->of) };
    if (!p->of) { return tat_fail(error, TAT_ERROR_SYSTEM, "out of memory"); }
    if (by == OFFSETS_BY_ORDER) { return place_by_order(p, s, error); }
    place_by_file(p, s);
    return 0;
}

void offset_places_free(struct offset_places * p) {
    free(p->of);
    *p = (struct offset_places){ 0 };
}
