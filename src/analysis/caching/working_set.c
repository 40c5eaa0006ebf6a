/* SPDX-License-Identifier: MIT */
#include "analysis/caching/working_set.h"

#include <stdlib.h>

/* Graphs one after the other in which a slice was not read, as bytes of the slices by length of the stretch: a window
 * of w graphs misses a slice if it lies wholly within such a stretch. */
struct gaps {
    uint64_t * bytes; /* by length */
    uint32_t * last;  /* by slice: 1 + the graph that read it last; 0: none */
};

static bool gaps_begin(struct gaps * g, const struct references * r, size_t n_graphs) {
    g->bytes = calloc(n_graphs + 1, sizeof *g->bytes);
    g->last = calloc((size_t) r->slices.count + 1, sizeof *g->last);
    return g->bytes && g->last;
}

static void gaps_free(struct gaps * g) {
    free(g->bytes);
    free(g->last);
}

static bool is_of(const struct references * r, size_t mark) {
    return mark_phase(r, mark) == TAT_PHASE_GENERATE;
}

static size_t count_graphs(const struct references * r) {
    size_t n = 0;
    for (size_t m = 0; m < r->marks.count; m++) { n += is_of(r, m); }
    return n;
}

static void find_gaps(struct gaps * g, const struct references * r, size_t n_graphs) {
    uint32_t graph = 0;
    for (size_t m = 0; m < r->marks.count; m++) {
        if (!is_of(r, m)) { continue; }
        graph++;
        for (size_t i = mark_at(r, m)->first; i < mark_at(r, m + 1)->first; i++) {
            const uint32_t ref = reference_at(r, i);
            if (ref >= r->slices.count || g->last[ref] == graph) { continue; }
            g->bytes[graph - 1 - g->last[ref]] += r->bytes[ref];
            g->last[ref] = graph;
        }
    }
    for (uint32_t i = 0; i < r->slices.count; i++) {
        if (g->last[i]) { g->bytes[n_graphs - g->last[i]] += r->bytes[i]; }
    }
}

static uint64_t bytes_read(const struct gaps * g, const struct references * r) {
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < r->slices.count; i++) { bytes += g->last[i] ? r->bytes[i] : 0; }
    return bytes;
}

bool working_set_find(const struct references * r, struct working_set * w) {
    struct gaps g = { 0 };
    const size_t n = count_graphs(r);
    *w = (struct working_set){ .graphs = n };
    const bool good = gaps_begin(&g, r, n);
    if (good && n) {
        find_gaps(&g, r, n);
        const uint64_t all = bytes_read(&g, r);
        for (size_t window = 1; window <= n && w->count < WORKING_SETS; window *= 2) {
            double missed = 0; /* bytes, over all windows */
            for (size_t length = window; length <= n; length++) {
                missed += (double) g.bytes[length] * (double) (length - window + 1);
            }
            w->window[w->count] = window;
            w->bytes[w->count++] = (double) all - missed / (double) (n - window + 1);
        }
    }
    gaps_free(&g);
    return good;
}
