/* SPDX-License-Identifier: MIT
 *
 * What the routers of a run chose: every row, every slot, evaluation by evaluation. One context comes after the other,
 * each in the order of its evaluations, so that who compares a token with the one before need remember only one.
 */
#ifndef TAT_ANALYSIS_EXPERTS_ROUTING_H
#define TAT_ANALYSIS_EXPERTS_ROUTING_H

#include "analysis/analysis.h"

enum { ROUTING_EXPERTS_MAX = TAT_NO_EXPERT };
#define ROUTING_NOBODY UINT32_MAX /* in place of an id that the layer has no expert for */

/* The choice of one layer in one evaluation. */
struct routed_layer {
    uint16_t         layer;
    uint32_t         n_experts, n_used, n_rows;
    uint32_t         entry;  /* of the ids, in the evaluation's graph */
    const uint32_t * ids;    /* [row][slot], in the router's order: the one it wants most comes first */
    const float *    gates;  /* [row][slot]; NULL: not recorded */
    bool             placed; /* it is known which token each row is */
    const uint32_t * token;  /* [row], of the evaluation's tokens; NULL: row i is token i */
};

/* Which of the evaluation's tokens a row is; only where they are placed. */
static inline uint32_t routed_token(const struct routed_layer * l, uint32_t row) {
    return l->token ? l->token[row] : row;
}

struct routed {
    uint32_t                    evaluation;
    enum tat_phase              phase;
    const struct routed_layer * layers; /* in the order of execution, each layer once */
    uint32_t                    n_layers;
    const uint32_t *            tokens; /* ids of the evaluation's tokens, n_tokens of them; NULL, 0: unknown */
    uint32_t                    n_tokens;
    /* Token i has the serial number serial + i * step. One token follows another of its sequence exactly if their
     * serials do: they skip a number where the context, the sequence or a gap in the record is between. */
    uint64_t serial;
    uint32_t step;
    uint64_t ordinal; /* of the first token among those of its context that were recorded */
    uint64_t half;    /* so many of the context's tokens are its first half */
};

struct routing_faults {
    uint64_t missing; /* layers of evaluations whose choice was not recorded */
    uint64_t nobody;  /* ids that the layer has no expert for */
    uint64_t nowhere; /* ids of no layer */
    uint64_t others;  /* further choices in a layer that had one already */
};

typedef void (*routed_sink)(const struct routed * routed, void * user);

/* All evaluations of inference in which any layer chose. False: memory. */
bool routing_each(const struct subject * subject, routed_sink sink, void * user, struct routing_faults * faults);

/* Bytes of one expert, in all stacks that the layer's choice selects from: gate, up, down and their biases. It searches
 * the graph. */
uint64_t routing_slice_bytes(const struct subject * subject, const struct routed * routed,
                             const struct routed_layer * layer);

#endif
