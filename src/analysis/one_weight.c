/* SPDX-License-Identifier: MIT */
#include "analysis/one_weight.h"

#include <stdlib.h>

struct one_weight one_weight_of(const struct tat_trace * trace) {
    struct one_weight w = { 0 };
    uint32_t n;
    w.tensors = tat_trace_tensors(trace, &n);
    for (uint32_t i = 0; i < n && !w.any; i++) { w.any = w.tensors[i].weight != i; }
    return w;
}

void one_weight_free(struct one_weight * w) {
    free(w->records);
}

const struct tat_access * one_weight_records(struct one_weight * w, const struct tat_access * records, size_t count) {
    if (!w->any) { return records; }
    if (count > w->capacity) {
        struct tat_access * more = reallocarray(w->records, count, sizeof *more);
        w->failed |= !more;
        if (!more) { return NULL; }
        w->records = more;
        w->capacity = count;
    }
    for (size_t i = 0; i < count; i++) {
        w->records[i] = records[i];
        w->records[i].tensor = w->tensors[records[i].tensor].weight;
    }
    return w->records;
}
