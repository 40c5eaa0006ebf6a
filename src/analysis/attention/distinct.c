/* SPDX-License-Identifier: MIT
 *
 * Which bytes of the cache a graph reads that it has not read before. With latent attention V is a view of K: both are
 * read, but the bytes of V are bytes of K.
 */
#include <stdlib.h>

#include "analysis/attention/attention.h"

/* Runs of equal length at equal distances. */
struct cache_extent {
    uint64_t offset, bytes, run, stride, rows;
    uint32_t evaluation;
};

static struct cache_extent extent_of(const struct attention * a, const struct tat_access * r) {
    const struct tat_layout layout = tat_trace_layout(a->subject->trace, r->layout);
    const bool strided = r->layout && r->rows > 1 && layout.stride;
    return (struct cache_extent){
        .offset = r->offset,
        .bytes = r->bytes,
        .run = strided ? layout.run_bytes : r->bytes,
        .stride = strided ? layout.stride : 0,
        .rows = strided ? r->rows : 1,
        .evaluation = r->evaluation,
    };
}

static uint64_t length_of(const struct cache_extent * e) {
    return (e->rows - 1) * e->stride + e->run;
}

/* Whether every byte of `in` is one of `of`. False if neither is simple enough to tell. */
static bool is_within(const struct cache_extent * in, const struct cache_extent * of) {
    if (in->offset < of->offset) { return false; }
    const uint64_t at = in->offset - of->offset, length = length_of(of);
    if (at > length || length_of(in) > length - at) { return false; }
    return of->rows == 1 || ((in->rows == 1 || in->stride == of->stride) && at % of->stride + in->run <= of->run);
}

uint64_t attention_new_bytes(struct attention * a, const struct tat_access * r) {
    struct cache_extent *last = &a->extent[r->tensor], now = extent_of(a, r);
    const bool again = last->bytes && last->evaluation == r->evaluation;
    if (again && is_within(&now, last)) { return 0; }
    const uint64_t known = again && is_within(last, &now) ? last->bytes : 0;
    *last = now;
    return now.bytes - known;
}

bool attention_begin_distinct(struct attention * a) {
    a->extent = calloc((size_t) a->subject->n_tensors + 1, sizeof *a->extent);
    return a->extent != NULL;
}
