/* SPDX-License-Identifier: MIT
 *
 * What the routers chose in one evaluation: every row, every slot; and of which tokens.
 */
#ifndef TAT_ANALYSIS_ROUTING_H
#define TAT_ANALYSIS_ROUTING_H

#include "format/list.h"
#include "format/route.h"
#include "tat/trace.h"

enum { ROUTING_EXPERTS_MAX = TAT_NO_EXPERT };
#define ROUTING_NOBODY UINT32_MAX /* stands for an id that the layer has no expert for */

/* The choice of one layer. */
struct routed_layer {
    uint16_t layer;
    bool gated;  /* gates were recorded */
    bool placed; /* each row's token is known */
    uint32_t n_experts, n_used, n_rows;
    uint32_t entry;         /* the ids' entry in the evaluation's graph */
    uint32_t first;         /* where its choices are among the evaluation's */
    uint32_t first_row;     /* where its rows are among those of all layers */
    const uint32_t * ids;   /* [row][slot], in the router's order: its first choice comes first */
    const float * gates;    /* [row][slot]; NULL: not recorded */
    const uint32_t * token; /* [row], of the evaluation's tokens; TAT_NO_ROW: unknown */
};

/* Which of the evaluation's tokens a row is. Only if rows are placed. */
static inline uint32_t routed_token(const struct routed_layer * l, uint32_t row) {
    return l->token[row];
}

/* What a trace has but cannot be counted. */
struct routing_faults {
    uint64_t missing; /* layers in evaluations, whose choice was not recorded */
    uint64_t nobody;  /* ids that the layer has no expert for */
    uint64_t nowhere; /* ids of no layer */
    uint64_t others;  /* further choices in a layer that had one already */
};

/* Begins zeroed. Reads one evaluation after the other, each in place of the one before. */
struct routing {
    struct list layers; /* struct routed_layer, in the order of execution, each layer once */
    struct list tokens; /* uint32_t: ids of the evaluation's tokens; empty: unknown */
    bool has_positions;
    bool one_sequence;   /* true if positions count up by one, as far as they are known */
    int64_t first, last; /* positions */

    struct routing_faults faults; /* in all evaluations so far */
    /* For routing.c alone. */
    const struct tat_trace * trace;
    const struct tat_template * t;
    const struct tat_tensor * tensors;
    uint32_t * layer_at; /* by layer: 1 + its place in `layers`; 0: not yet */
    struct list ids;     /* uint32_t, of all layers */
    struct list gates;   /* float, side by side with the ids */
    struct list rows;    /* uint32_t, of all layers: the tokens that their rows are */
    struct route route;
    struct routed_layer * choice; /* the layer fed last; NULL: it is not counted */
    bool failed;
};

bool routing_read(struct routing * r, const struct tat_trace * trace, uint32_t evaluation); /* false: no memory */
void routing_free(struct routing * r);

static inline const struct routed_layer * routing_layers(const struct routing * r) {
    return LIST(const struct routed_layer, r->layers);
}

/* The bytes of one expert in all stacks that the layer's choice selects from: gate, up, down and their biases. Searches
 * the graph. */
uint64_t routing_slice_bytes(const struct tat_template * t, const struct routed_layer * layer);

#endif
