/* SPDX-License-Identifier: MIT
 *
 * The string of references in the unit that a cache keeps: what all policies are judged by. An item is a slice (a
 * weight, or one expert's part of a tensor), an expert (its parts in all tensors of a layer), or a block of the model
 * files.
 *
 * Slices and experts: rows of embeddings are no items. They are read whenever they are wanted, under every policy.
 *
 * Blocks: where their reads are too many to simulate, a sample of the blocks stands for all, those whose hashed numbers
 * fall below a threshold, in a cache that is smaller in proportion (Waldspurger et al.: Efficient MRC construction with
 * SHARDS, FAST 2015; Waldspurger, Saemundsson, Ahmad, Park: Cache modeling and optimization using miniature
 * simulations, USENIX ATC 2017).
 */
#ifndef TAT_ANALYSIS_CACHING_CACHE_STRING_H
#define TAT_ANALYSIS_CACHING_CACHE_STRING_H

#include "analysis/caching/references.h"
#include "policy/policy.h"

struct string_graph {
    uint32_t end; /* behind its last item in `items` */
    bool generated;
};

/* Bytes that prompt and generation read. */
struct phase_bytes {
    uint64_t prompt, generated;
};

struct cache_string {
    const struct references * references;
    uint64_t
        unit; /* TAT_CACHE_SLICE, TAT_CACHE_EXPERT, or bytes of a block: doubled until the model is not too large */
    struct list items;    /* uint32_t, in the order of reads */
    struct list graphs;   /* struct string_graph, whole graphs from the first */
    uint64_t * bytes;     /* by item */
    uint64_t * value;     /* by item: its reads */
    uint32_t * slice;     /* by item: the first of its slices; NULL where items are blocks */
    struct list selected; /* uint64_t, blocks: by item, its number in the space of all files, ascending */
    uint32_t n_items;

    struct phase_bytes wanted;        /* asked for, of an item all or a part */
    struct phase_bytes first, repeat; /* bytes of all items when they are read first, and again */
    struct phase_bytes rows;          /* that no policy keeps */
    uint64_t tokens;                  /* generated */

    /* Blocks alone. */
    uint64_t unplaced; /* reads left out: outside of all files, or too large to be real */
    uint32_t sample;   /* one block of so many is an item; 1: all */
    struct phase_bytes first_sampled, repeat_sampled; /* as above, of items alone */
};

struct string_request {
    uint64_t unit; /* as cache_unit of struct tat_analysis_options */
    size_t most;   /* items: the string ends with the graph in which it reaches so many */
    bool sampled;  /* blocks may be sampled, so that more graphs are seen */
    unsigned half; /* 0, or of a sample its first (1) or second (2) half */
};

/* False: memory. Free it in either case. */
bool cache_string_make(struct cache_string * s, const struct references * r, const struct string_request * request);
void cache_string_free(struct cache_string * s);

static inline bool is_of_blocks(const struct cache_string * s) {
    return s->unit > TAT_CACHE_EXPERT;
}

static inline uint32_t item_at(const struct cache_string * s, size_t i) {
    return LIST(const uint32_t, s->items)[i];
}

static inline const struct string_graph * graph_at(const struct cache_string * s, size_t graph) {
    return &LIST(const struct string_graph, s->graphs)[graph];
}

static inline uint64_t sum(struct phase_bytes bytes) {
    return bytes.prompt + bytes.generated;
}

static inline void add_to(struct phase_bytes * bytes, bool generated, uint64_t more) {
    *(generated ? &bytes->generated : &bytes->prompt) += more;
}

/* The part of a cache that a sample's items compete for. */
uint64_t cache_string_capacity(const struct cache_string * s, uint64_t capacity);

/* Bytes read that were read before: by all, and of these by generated tokens. */
struct again {
    uint64_t all, generated;
};

/* What those of a sample stand for. */
struct again cache_string_scaled(const struct cache_string * s, struct again again);

/* By read, which one reads its item next, and by item, which one reads it first; NO_READ: none does. */
#define NO_READ UINT32_MAX
void cache_string_order(const struct cache_string * s, uint32_t * next, uint32_t * first);

/* Ends the graph whose items were added last: for those who make strings. False: memory. */
bool cache_string_end_graph(struct cache_string * s, size_t mark);

/* Numbers blocks and lists their reads: the part of cache_string_make for blocks. */
bool cache_string_add_blocks(struct cache_string * s, const struct string_request * request);

enum { SIMULATED_MAX = 1 << 19 }; /* items: each is simulated hundreds of times */

#endif
