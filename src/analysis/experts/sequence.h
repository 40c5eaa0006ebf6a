/* SPDX-License-Identifier: MIT
 *
 * The routers' choices of a run, evaluation by evaluation. One context comes after the other, each in the order of its
 * evaluations, so that who compares a token with the one before need remember only one.
 */
#ifndef TAT_ANALYSIS_EXPERTS_SEQUENCE_H
#define TAT_ANALYSIS_EXPERTS_SEQUENCE_H

#include "analysis/analysis.h"
#include "analysis/routing.h"

struct routed {
    uint32_t evaluation;
    enum tat_phase phase;
    const struct routed_layer * layers; /* in the order of execution, each layer once */
    uint32_t n_layers;
    const uint32_t * tokens; /* ids of the evaluation's tokens, n_tokens of them; NULL, 0: unknown */
    uint32_t n_tokens;
    /* Token i has the serial number serial + i * step. One token follows another in its sequence exactly if its serial
     * number does: numbers skip where the context, the sequence or a gap in the record lies between. */
    uint64_t serial;
    uint32_t step;
    uint64_t ordinal; /* the first token's place among the recorded tokens of its context */
    uint64_t half;    /* how many of the context's tokens are its first half */
};

typedef void (*routed_sink)(const struct routed * routed, void * user);

/* Goes through all evaluations of inference in which any layer chose. `faults`: may be NULL. False: no memory. */
bool routed_each(const struct subject * subject, routed_sink sink, void * user, struct routing_faults * faults);

#endif
