/* SPDX-License-Identifier: MIT
 *
 * How far apart reads are if tensors stand in certain places of their files.
 */
#include <stdlib.h>

#include "analysis/order/file_order.h"
#include "analysis/order/file_order_walk.h"

enum { PAGE = 4096 };

/* What of one file an evaluation reads. */
struct extent_read {
    uint64_t from, end; /* nothing: 0, 0 */
};

struct seek_walk {
    struct file_walk walk;
    struct file_seeks * seeks;
    const struct tat_gguf_tensor * tensors;
    const uint64_t * place;
    struct gap_place * at;       /* by file */
    struct extent_read * extent; /* by file, of the current evaluation */
    uint32_t n_files, evaluation;
};

static void add_read(struct seek_walk * w, uint32_t tensor, uint64_t from, uint64_t end, uint64_t bytes) {
    const uint32_t file = w->tensors[tensor].file;
    struct extent_read * e = &w->extent[file];
    gap_count(&w->seeks->gaps, &w->at[file], from, end, bytes);
    if (e->end == 0 || from < e->from) { e->from = from; }
    if (end > e->end) { e->end = end; }
}

static void end_evaluation(struct seek_walk * w) {
    for (uint32_t i = 0; i < w->n_files; i++) {
        w->seeks->span += w->extent[i].end - w->extent[i].from;
        w->extent[i] = (struct extent_read){ 0 };
    }
}

static bool feed(const struct tat_access * a, size_t count, void * user) {
    struct seek_walk * w = user;
    for (size_t i = 0; i < count; i++, a++) {
        const uint32_t t = file_walk_tensor(&w->walk, a);
        if (t == UINT32_MAX) { continue; }
        if (a->evaluation != w->evaluation) {
            end_evaluation(w);
            w->evaluation = a->evaluation;
        }
        const uint64_t from = w->place[t] + (a->offset - w->tensors[t].file_offset);
        add_read(w, t, from, from + (gap_end(w->walk.subject.trace, a) - a->offset), a->bytes);
    }
    return true;
}

static int count_by_trace(struct seek_walk * w, const struct tat_gguf * gguf, const struct tat_trace * trace,
                          struct tat_error * error) {
    const int begun = file_walk_begin(&w->walk, gguf, trace, error);
    const int status = begun ? begun : subject_expand(&w->walk.subject, feed, w, error);
    w->seeks->tokens = w->walk.n_wanted;
    file_walk_end(&w->walk);
    return status < 0 ? -1 : 0;
}

static void count_whole(struct seek_walk * w, const struct file_order * o, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t t = o->tensor[i];
        if (w->tensors[t].bytes) {
            add_read(w, t, w->place[t], w->place[t] + w->tensors[t].bytes, w->tensors[t].bytes);
        }
    }
    w->seeks->tokens = 1;
}

/* ---- borders ---- */

struct placed {
    uint64_t place;
    uint32_t file, tensor;
};

static int by_place(const void * a, const void * b) {
    const struct placed *x = a, *y = b;
    if (x->file != y->file) { return x->file < y->file ? -1 : 1; }
    if (x->place != y->place) { return x->place < y->place ? -1 : 1; }
    return (x->tensor > y->tensor) - (x->tensor < y->tensor);
}

/* Slices of a stack that begin inside a page, but for the first one. Slice i begins at place + i * slice_bytes, which
 * is a multiple of PAGE for every `period`-th i, or for none. */
static uint64_t borders_within(const struct tat_gguf_tensor * t, uint64_t place) {
    if (t->n_slices < 2) { return 0; }
    const uint64_t lowest = t->slice_bytes & -t->slice_bytes, step = lowest < PAGE ? lowest : PAGE;
    const uint64_t period = PAGE / step, last = t->n_slices - 1, odd = t->slice_bytes / step;
    if (place % step) { return last; }
    uint64_t inverse = odd; /* modulo 2^3; each step doubles the bits, and PAGE has 12 */
    for (int i = 0; i < 2; i++) { inverse *= 2 - odd * inverse; }
    const uint64_t first = (0 - place / step) * inverse % period; /* the first i, from 0 on */
    const uint64_t on_pages = last < first ? 0 : (last - first) / period + (first != 0);
    return last - on_pages;
}

static bool count_borders(struct seek_walk * w, uint32_t n) {
    struct placed * placed = malloc((n + (size_t) 1) * sizeof *placed);
    uint32_t last = UINT32_MAX;
    if (!placed) { return false; }
    for (uint32_t i = 0; i < n; i++) { placed[i] = (struct placed){ w->place[i], w->tensors[i].file, i }; }
    if (n) { qsort(placed, n, sizeof *placed, by_place); }
    for (uint32_t i = 0; i < n; i++) {
        const struct tat_gguf_tensor * t = &w->tensors[placed[i].tensor];
        if (t->bytes == 0) { continue; }
        if (last != UINT32_MAX && placed[last].file == placed[i].file) {
            const uint64_t end = placed[last].place + w->tensors[placed[last].tensor].bytes;
            w->seeks->borders += (end - 1) / PAGE == placed[i].place / PAGE;
        }
        w->seeks->borders += borders_within(t, placed[i].place);
        last = i;
    }
    free(placed);
    return true;
}

int file_seeks_count(struct file_seeks * seeks, const struct file_order * o, const struct tat_gguf * gguf,
                     const uint64_t * place, const struct tat_trace * trace, struct tat_error * error) {
    struct seek_walk w = { .seeks = seeks, .place = place, .evaluation = UINT32_MAX };
    uint32_t n;
    *seeks = (struct file_seeks){ 0 };
    w.tensors = tat_gguf_tensors(gguf, &n);
    tat_gguf_files(gguf, &w.n_files);
    w.at = calloc(w.n_files + (size_t) 1, sizeof *w.at);
    w.extent = calloc(w.n_files + (size_t) 1, sizeof *w.extent);
    int status = 0;
    if (!w.at || !w.extent || !count_borders(&w, n)) {
        status = tat_fail(error, TAT_ERROR_SYSTEM, "no memory for counting seeks");
    } else if (trace) {
        status = count_by_trace(&w, gguf, trace, error);
    } else {
        count_whole(&w, o, n);
    }
    if (status == 0) { end_evaluation(&w); }
    free(w.at);
    free(w.extent);
    return status;
}
