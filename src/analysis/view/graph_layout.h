/* SPDX-License-Identifier: MIT
 *
 * The operations of one evaluation as a picture: every node of its graph, those that touch no bytes too, in boxes by
 * layer, with positions, categories, bytes and times.
 *
 * Sources are above what is computed from them. Each layer is a box, below the box before it; within it, nodes stand in
 * ranks. The same graph gives the same picture, wherever it is asked for. It takes O(n log n) for n nodes and sources.
 * Leaves (weights, caches, inputs) are no nodes here: what an operation reads of them is in its bytes.
 */
#ifndef TAT_ANALYSIS_VIEW_GRAPH_LAYOUT_H
#define TAT_ANALYSIS_VIEW_GRAPH_LAYOUT_H

#include "tat/trace.h"

enum { GRAPH_NODES_MAX = 1 << 16 }; /* a larger graph is refused: no model comes near */

/* What an operation is for. */
enum graph_category {
    GRAPH_MATMUL,    /* products with weights or with the cache */
    GRAPH_ATTENTION, /* attention itself: flash attention, softmax, rotary positions */
    GRAPH_EXPERTS,   /* choosing experts, and products with them */
    GRAPH_NORM,
    GRAPH_ELEMENTWISE, /* sums, products, activations, scales */
    GRAPH_ROWS,        /* rows looked up, copied or written: embeddings, the KV cache */
    GRAPH_RECURRENT,   /* state-space models and the like */
    GRAPH_SHAPE,       /* views and permutations, which compute nothing */
    GRAPH_OTHER,
    GRAPH_CATEGORIES
};
const char * graph_category_name(unsigned category); /* NULL behind the last */

struct graph_node {
    uint32_t node; /* its number in the template, as access records have it */
    const char *name, *op;
    uint16_t layer;     /* of its box, or TAT_NO_LAYER */
    int32_t x, y, w, h; /* of its corner with the lowest x and y, and its size */
    uint64_t bytes;     /* touched by its records in this evaluation */
    uint32_t accesses;  /* records that touch anything */
    enum graph_category category;
    bool timed; /* a callback of its own told when it was done; else the two below are 0 */
    uint64_t start_ns, duration_ns;
};

struct graph_edge {
    uint32_t from, to; /* places in `nodes`: from is a source of to */
};

/* Boxes are in the order of computation: what comes before the first layer, the layers, what comes after. */
struct graph_group {
    uint16_t layer; /* TAT_NO_LAYER: none */
    int32_t x, y, w, h;
    uint32_t first, count; /* nodes */
    uint64_t bytes, duration_ns;
};

struct graph_layout {
    uint32_t evaluation;
    uint32_t n_nodes, n_edges, n_groups;
    struct graph_node * nodes; /* group by group, in each in the order of computation */
    struct graph_edge * edges;
    struct graph_group * groups;
    int32_t x, y, w, h; /* of all of it */
    uint32_t dangling;  /* sources that are not there or not computed before, and are not drawn */
    uint64_t bytes;     /* of all nodes */
    uint64_t begin_ns, end_ns;
};

/* The evaluation that computed this token as part of the text (neither warm-up nor without tokens); of several
 * contexts, that of the main model, else of the first. -1 with *error (TAT_ERROR_NO) if there is none. */
int64_t graph_of_token(const struct tat_trace * trace, uint32_t token, struct tat_error * error);

/* Makes the picture of an evaluation; of one layer alone, or of all with a `layer` of -1, or of what has none with
 * TAT_NO_LAYER. 0, or -1 with *error: TAT_ERROR_NO (no such evaluation or layer, or a graph that is too large), memory,
 * or a file that was cut. Free it with graph_layout_free. */
int graph_layout_make(const struct tat_trace * trace, uint32_t evaluation, int32_t layer, struct graph_layout * layout,
                      struct tat_error * error);
void graph_layout_free(struct graph_layout * layout);

#endif
