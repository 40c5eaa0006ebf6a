/* SPDX-License-Identifier: MIT */
#include "analysis/caching/references.h"

#include <stdlib.h>

enum {
    REFS_MAX = 1 << 26, /* 256 MiB of them: of a small model, what 200,000 tokens read */
    EXTENTS_MAX = 1 << 22,
};

static uint64_t aligned(uint64_t bytes) {
    return (bytes + REFERENCES_ALIGN - 1) / REFERENCES_ALIGN * REFERENCES_ALIGN;
}

static bool add_file(struct references * r, uint64_t bytes) {
    struct file_span * span = list_add(&r->files, sizeof *span);
    if (span) { *span = (struct file_span){ r->space, r->space + bytes }; }
    r->space += aligned(bytes);
    return span;
}

/* Files first, then each tensor that is in none. A hostile trace's sums may wrap: what lies outside is then not
 * placed. */
static bool place(struct references * r) {
    const struct subject * s = r->subject;
    uint64_t * files = calloc((size_t) s->n_files + 1, sizeof *files);
    bool good = files;
    if (!good) { return false; }
    for (uint32_t i = 0; i < s->n_files; i++) {
        files[i] = r->space;
        good &= add_file(r, s->files[i].size);
    }
    for (uint32_t i = 0; i < s->n_tensors; i++) {
        const struct tat_tensor * t = &s->tensors[i];
        if (t->kind != TAT_TENSOR_WEIGHT || !counts_once(s, i)) { continue; }
        const bool in_file = t->file && t->file <= s->n_files;
        r->origin[i] = in_file ? files[t->file - 1] : r->space;
        if (!in_file) { good &= add_file(r, t->file_offset + t->bytes); }
        for (uint32_t slice = r->slices.first[i]; slice < r->slices.first[i + 1]; slice++) {
            r->bytes[slice] = slice_bytes(&r->slices, s, slice);
            r->address[slice] = r->origin[i] + t->file_offset + r->bytes[slice] * (slice - r->slices.first[i]);
        }
    }
    free(files);
    return good;
}

uint64_t references_file_end(const struct references * r, uint64_t address) {
    const struct file_span * span = LIST(const struct file_span, r->files);
    uint32_t low = 0, high = r->files.count; /* the first that begins behind it */
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (span[middle].begin <= address) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low && address < span[low - 1].end ? span[low - 1].end : UINT64_MAX;
}

bool references_begin(struct references * r, const struct subject * subject) {
    *r = (struct references){ .subject = subject };
    if (!slices_find(&r->slices, subject)) { return false; }
    r->origin = calloc((size_t) subject->n_tensors + 1, sizeof *r->origin);
    r->address = calloc((size_t) r->slices.count + 1, sizeof *r->address);
    r->bytes = calloc((size_t) r->slices.count + 1, sizeof *r->bytes);
    return r->origin && r->address && r->bytes && place(r);
}

void references_free(struct references * r) {
    slices_free(&r->slices);
    free(r->origin);
    free(r->address);
    free(r->bytes);
    free(r->refs.data);
    free(r->extents.data);
    free(r->marks.data);
    free(r->files.data);
}

static void * add(struct references * r, struct list * list, size_t size) {
    void * element = list_add(list, size);
    r->failed |= !element;
    return element;
}

static void add_ref(struct references * r, uint32_t number) {
    uint32_t * ref = add(r, &r->refs, sizeof *ref);
    if (ref) { *ref = number; }
}

static void add_mark(struct references * r, uint32_t evaluation) {
    struct graph_mark * mark = add(r, &r->marks, sizeof *mark);
    if (mark) { *mark = (struct graph_mark){ evaluation, r->refs.count }; }
}

/* Rows, or what else is not a whole slice. */
static void add_extent(struct references * r, const struct tat_access * a) {
    struct extent_read * extent = add(r, &r->extents, sizeof *extent);
    if (!extent) { return; }
    *extent = (struct extent_read){ .address = r->origin[a->tensor] + a->offset, .run = a->bytes, .rows = 1 };
    if (a->flags & TAT_ACCESS_STRIDED) {
        const struct tat_layout layout = tat_trace_layout(r->subject->trace, a->layout);
        extent->run = layout.run_bytes;
        extent->stride = layout.stride;
        extent->rows = a->rows;
    }
    r->approximate |= (a->flags & TAT_ACCESS_APPROXIMATE) != 0;
    add_ref(r, r->slices.count + r->extents.count - 1);
}

/* What is kept are whole graphs: the one that is too much goes. */
static void cut_short(struct references * r) {
    r->refs.count = mark_at(r, --r->marks.count)->first;
    r->full = true;
}

void references_feed(struct references * r, const struct tat_access * a, size_t count) {
    for (size_t i = 0; i < count && !r->failed && !r->full; i++) {
        if (r->subject->tensors[a[i].tensor].kind != TAT_TENSOR_WEIGHT || a[i].bytes == 0 ||
            !is_inference(phase_of(&a[i]))) {
            continue;
        }
        if (r->marks.count == 0 || mark_at(r, r->marks.count - 1)->evaluation != a[i].evaluation) {
            add_mark(r, a[i].evaluation);
            if (r->failed) { return; }
        }
        const uint32_t slice = whole_slice(r, &a[i]);
        if (slice != NO_SLICE) {
            add_ref(r, slice);
        } else {
            add_extent(r, &a[i]);
        }
        if (r->refs.count >= REFS_MAX || r->extents.count >= EXTENTS_MAX) { cut_short(r); }
    }
}

void references_end(struct references * r) {
    add_mark(r, UINT32_MAX);
    if (!r->failed) { r->marks.count--; }
}
