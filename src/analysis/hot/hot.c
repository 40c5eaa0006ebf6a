/* SPDX-License-Identifier: MIT
 *
 * Which weights are hot and which cold; what is read again, and what never.
 */
#include "analysis/hot/hot.h"

#include <math.h>
#include <stdlib.h>

static void drop(struct hot * h) {
    slices_free(&h->slices);
    free(h->heat);
    free(h->tensor);
    free(h);
}

static void * begin(const struct subject * subject) {
    struct hot * h = calloc(1, sizeof *h);
    if (!h) { return NULL; }
    h->subject = subject;
    if (slices_find(&h->slices, subject)) {
        h->heat = calloc((size_t) h->slices.count + 1, sizeof *h->heat);
        h->again = again_begin(subject);
        h->tensor = calloc((size_t) subject->n_tensors + 1, sizeof *h->tensor);
    }
    if (!h->heat || !h->again || !h->tensor) {
        bool failed = false;
        again_end(h->again, NULL, &failed);
        drop(h);
        return NULL;
    }
    for (uint32_t i = 0; i < h->slices.count; i++) { h->heat[i].slice = i; }
    return h;
}

/* ---- counting ---- */

/* Skips what was just added to the set, since that need not be looked up. */
static void add_touched(struct hot * h, const struct tat_access * a, uint32_t slice) {
    struct heat * heat = slice == NO_SLICE || a->flags & TAT_ACCESS_STRIDED ? NULL : &h->heat[slice];
    if (heat && heat->from == a->offset && heat->span == a->bytes) { return; }
    if (heat) {
        heat->from = a->offset;
        heat->span = a->bytes;
    }
    ranges_add(&h->touched, access_range(h->subject, a, a->tensor));
}

static void tally(void * state, const struct tat_tally * t) {
    struct hot * h = state;
    again_tally(h->again, t);
    for (size_t i = 0; i < t->count; i++) {
        const struct tat_access * a = &t->records[i];
        if (h->subject->tensors[a->tensor].kind != TAT_TENSOR_WEIGHT || !is_inference(phase_of(a))) { continue; }
        const uint64_t accesses = access_counter_step(&h->counter, t, i);
        if (t->ns) { h->tensor[a->tensor].ns += t->owner_ns[i]; }
        if (a->bytes == 0) { continue; }
        const uint64_t bytes = a->bytes * t->evaluations;
        const uint32_t slice = slice_of(&h->slices, a);
        h->accesses += accesses;
        h->bytes += bytes;
        h->tensor[a->tensor].accesses += accesses;
        h->tensor[a->tensor].bytes += bytes;
        h->approximate |= (a->flags & TAT_ACCESS_APPROXIMATE) != 0;
        add_touched(h, a, slice);
        again_add(h->again, t, a);
        if (slice == NO_SLICE) {
            h->unclear += accesses;
            continue;
        }
        h->heat[slice].accesses += accesses;
        h->heat[slice].bytes += bytes;
    }
}

/* ---- ranking ---- */

/* By reads of a byte, then by time. Accesses would not do: one that gathers a row is not like one that reads it all. */
static int hottest(const void * a, const void * b) {
    const struct heat *x = a, *y = b;
    if (x->rank != y->rank) { return x->rank < y->rank ? 1 : -1; }
    if (x->ns != y->ns) { return x->ns < y->ns ? 1 : -1; }
    return x->slice < y->slice ? -1 : x->slice > y->slice;
}

/* A share of `n`, with slack because a percentage is not an exact binary number: 7 % of 100 are 7. */
static uint32_t share_of(double share, uint32_t n, double (*round)(double), double slack) {
    return (uint32_t) round(share * n + slack);
}

static struct cuts cut(const struct hot * h) {
    const double slack = 1e-6;
    uint32_t n = h->slices.count;
    struct cuts cuts = { share_of(h->subject->options.hot_share, n, ceil, -slack),
                         n - share_of(h->subject->options.cold_share, n, floor, slack), false, false };
    if (cuts.hot == 0) { cuts.hot = 1; }
    if (cuts.cold < cuts.hot) { cuts.cold = cuts.hot; }
    const uint32_t first_cold = cuts.cold < n ? cuts.cold : n - 1;
    cuts.uniform = h->heat[cuts.hot - 1].rank == h->heat[first_cold].rank;
    cuts.tied = cuts.hot < n && h->heat[cuts.hot - 1].rank == h->heat[cuts.hot].rank;
    return cuts;
}

static void set_unique(uint64_t tensor, uint64_t bytes, void * user) {
    ((struct hot *) user)->tensor[tensor].unique = bytes;
}

static void finish(void * state, struct result * r) {
    struct hot * h = state;
    ranges_each(&h->touched, set_unique, h);
    uint64_t again[TAT_PHASE_COUNT] = { 0 };
    again_end(h->again, again, &r->failed);
    for (int p = 0; p < TAT_PHASE_COUNT; p++) { h->again_bytes += again[p]; }
    r->failed |= h->touched.failed;
    h->tokens = inference_total(h->subject).tokens;
    for (uint32_t i = 0; i < h->slices.count; i++) {
        h->heat[i].ns = h->tensor[h->slices.tensor[i]].ns;
        h->heat[i].reads = ratio(h->heat[i].bytes, slice_bytes(&h->slices, h->subject, i));
        h->heat[i].rank = heat_of(h->heat[i].reads);
    }
    if (h->accesses == 0 || h->slices.count == 0) {
        result_headline(r, "Neither a prompt nor a generated token touched a weight.");
    } else {
        qsort(h->heat, h->slices.count, sizeof h->heat[0], hottest);
        const struct cuts cuts = cut(h);
        hot_report(h, &cuts, r);
    }
    drop(h);
}

const struct analysis hot_analysis = {
    .name = "hot",
    .title = "Hot and cold",
    .begin = begin,
    .tally = tally,
    .finish = finish,
};
