/* SPDX-License-Identifier: MIT
 *
 * How far apart in the file one access to weights is from the one before.
 *
 * The gap: where this access begins, minus where the one before in the same file ended; negative is backwards. Of a
 * strided access, from its first byte to its last. Only what is read of the file's tensors counts, of prompt and
 * generation.
 */
#ifndef TAT_ANALYSIS_ORDER_GAPS_H
#define TAT_ANALYSIS_ORDER_GAPS_H

#include "analysis/analysis.h"
#include "analysis/units.h"

enum {
    GAP_BINS = 65,      /* 0: no gap; k: 2^(k-1) to below 2^k bytes */
    GAP_BINS_NEAR = 17, /* the last class that counts as near: below 128 KiB */
    GAP_ALL = TAT_COMPONENT_COUNT,
    GAP_SEQUENCES, /* one for each component, and one for all */
};

struct gap_bin {
    uint64_t accesses, bytes; /* bytes that the accesses read, not bytes of gaps */
};

/* The gaps of one sequence. */
struct gap_counts {
    struct gap_bin first; /* accesses with none before them */
    struct gap_bin forward[GAP_BINS], backward[GAP_BINS];
    uint64_t distance; /* sum of the gaps' sizes, without signs */
};

/* How far a sequence has come in one file. */
struct gap_place {
    uint64_t end;
    bool begun;
};

/* A tensor's places: in the sequence of all tensors and in that of its component. */
struct gap_tensor {
    uint32_t all, own;
    uint32_t component;
};

struct gaps {
    const struct subject * subject;
    struct gap_tensor * tensor; /* weights in a file only */
    struct gap_place * place;
    struct gap_counts counts[GAP_SEQUENCES];
    bool copied, approximate; /* for the notes */
};

/* True for a weight in a file: the order of reading is about these. */
static inline bool is_in_file(const struct tat_tensor * t) {
    return t->kind == TAT_TENSOR_WEIGHT && t->file != 0 &&
           (t->memory == TAT_MEMORY_FILE || t->memory == TAT_MEMORY_COPY);
}

/* One past the last byte that an access touches. */
static inline uint64_t gap_end(const struct tat_trace * trace, const struct tat_access * a) {
    if (!(a->flags & TAT_ACCESS_STRIDED)) { return a->offset + a->bytes; }
    const struct tat_layout layout = tat_trace_layout(trace, a->layout);
    return a->offset + layout.stride * (a->rows - 1) + layout.run_bytes;
}

/* False: no memory. Call gaps_free in either case. */
bool gaps_begin(struct gaps * g, const struct subject * subject);
void gaps_free(struct gaps * g);

static inline void gap_count(struct gap_counts * c, struct gap_place * p, uint64_t from, uint64_t end, uint64_t bytes) {
    struct gap_bin * bin = &c->first;
    if (p->begun) {
        const bool ahead = from >= p->end;
        const uint64_t gap = ahead ? from - p->end : p->end - from;
        const unsigned power = gap ? 64 - (unsigned) __builtin_clzll(gap) : 0;
        bin = ahead ? &c->forward[power] : &c->backward[power];
        c->distance += gap;
    }
    bin->accesses++;
    bin->bytes += bytes;
    *p = (struct gap_place){ end, true };
}

/* A read of a weight in a file, which touches bytes up to `end`. */
static inline void gaps_add(struct gaps * g, const struct tat_access * a, uint64_t end) {
    const struct gap_tensor * t = &g->tensor[a->tensor];
    gap_count(&g->counts[GAP_ALL], &g->place[t->all], a->offset, end, a->bytes);
    gap_count(&g->counts[t->component], &g->place[t->own], a->offset, end, a->bytes);
    g->approximate |= (a->flags & TAT_ACCESS_APPROXIMATE) != 0;
}

/* The gaps of a bin: its upper end is excluded. The text is such as "64.0 KiB to 128 KiB". */
enum { GAP_BIN_TEXT = 2 * UNITS_SIZE + 8 };
uint64_t gap_bin_from(int bin);
uint64_t gap_bin_to(int bin);
const char * gap_bin_text(char text[static GAP_BIN_TEXT], int bin);

struct gap_shares {
    struct gap_bin all, sequential, near, random; /* `all`: those with a gap */
};
struct gap_shares gap_shares(const struct gap_counts * c);

void gaps_tell(const struct gaps * g, struct result * r);
void gaps_tell_parts(const struct gaps * g, struct result * r); /* the long tables */

#endif
