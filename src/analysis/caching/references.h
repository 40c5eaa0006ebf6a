/* SPDX-License-Identifier: MIT
 *
 * What prompt and generation read of the weights, in order: the string of references that caches are judged by.
 * Addresses are those of one space in which all model files lie one after the other, and behind them what is in no
 * file.
 */
#ifndef TAT_ANALYSIS_CACHING_REFERENCES_H
#define TAT_ANALYSIS_CACHING_REFERENCES_H

#include "analysis/slices.h"
#include "format/list.h"

/* What one reference reads: `rows` runs of `run` bytes, `stride` apart; a slice is one run. */
struct extent_read {
    uint64_t address, run, stride;
    uint32_t rows;
};

static inline uint64_t extent_read_bytes(const struct extent_read * e) {
    return e->run * e->rows;
}

enum { REFERENCES_ALIGN = 1 << 24 }; /* addresses of files: no block of a cache lies in two */

/* Of the addresses: a model file, or a tensor that is in none. */
struct file_span {
    uint64_t begin, end;
};

struct graph_mark {
    uint32_t evaluation;
    uint32_t first; /* its first reference */
};

struct references {
    const struct subject * subject;
    struct slices slices;
    uint64_t * origin;  /* by tensor: an access's address is origin + offset */
    uint64_t * address; /* by slice */
    uint64_t * bytes;   /* by slice */
    uint64_t space;     /* addresses there are */
    struct list files;  /* struct file_span, in the order of addresses */

    struct list refs;    /* uint32_t: a slice, or slices.count + an extent */
    struct list extents; /* struct extent_read */
    struct list marks;   /* struct graph_mark: one for each graph that reads weights, and behind them one for the end */
    bool approximate, failed;
    bool full; /* later graphs were left out */
};

bool references_begin(struct references * r, const struct subject * subject); /* false: memory; free it anyway */
void references_feed(struct references * r, const struct tat_access * records, size_t count);
void references_end(struct references * r); /* no more will come */
void references_free(struct references * r);

/* The end of the file that an address is in; UINT64_MAX: it is in none. */
uint64_t references_file_end(const struct references * r, uint64_t address);

static inline uint32_t reference_at(const struct references * r, size_t i) {
    return LIST(const uint32_t, r->refs)[i];
}

static inline const struct graph_mark * mark_at(const struct references * r, size_t mark) {
    return &LIST(const struct graph_mark, r->marks)[mark];
}

static inline bool is_slice(const struct references * r, uint32_t ref) {
    return ref < r->slices.count;
}

/* What a record reads, if it is a slice and all of it; else NO_SLICE. */
static inline uint32_t whole_slice(const struct references * r, const struct tat_access * a) {
    if (r->subject->tensors[a->tensor].kind != TAT_TENSOR_WEIGHT || a->bytes == 0) { return NO_SLICE; }
    const uint32_t slice = slice_of(&r->slices, a);
    const bool whole =
        slice != NO_SLICE && a->bytes == r->bytes[slice] && r->origin[a->tensor] + a->offset == r->address[slice];
    return whole ? slice : NO_SLICE;
}

static inline struct extent_read reference_extent(const struct references * r, uint32_t ref) {
    if (!is_slice(r, ref)) { return LIST(const struct extent_read, r->extents)[ref - r->slices.count]; }
    return (struct extent_read){ .address = r->address[ref], .run = r->bytes[ref], .rows = 1 };
}

static inline enum tat_phase mark_phase(const struct references * r, size_t mark) {
    return r->subject->evaluations[mark_at(r, mark)->evaluation].phase;
}

#endif
