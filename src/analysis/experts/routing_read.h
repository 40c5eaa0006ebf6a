/* SPDX-License-Identifier: MIT
 *
 * Reading the captures of one evaluation as the choices of its layers.
 */
#ifndef TAT_ANALYSIS_EXPERTS_ROUTING_READ_H
#define TAT_ANALYSIS_EXPERTS_ROUTING_READ_H

#include "analysis/experts/routing.h"

/* A choice, with its arrays as places in the pools, which move while they grow. */
struct found {
    struct routed_layer layer;
    size_t              ids, gates;
    bool                has_gates, has_token;
};

struct pool {
    uint32_t * at;
    size_t     count, capacity;
};

struct reading {
    const struct subject *      subject;
    const struct tat_template * t;
    struct routing_faults *     faults;
    struct found *              found;
    uint32_t *                  found_at; /* by layer: 1 + its place in found; 0: not yet */
    struct routed_layer *       layers;
    uint32_t                    n_found, capacity;
    struct pool                 tokens, ids, gates, out; /* out: the rows of the evaluation whose output is asked for */
    bool                        has_out;
    int64_t                     first, last; /* positions */
    bool                        has_positions, one_sequence;
    bool                        failed;
};

/* Into r->layers, r->n_found of them, which live until the next call. r->failed: memory. */
void routing_read(struct reading * r, uint32_t evaluation);
bool routing_read_begin(struct reading * r, const struct subject * subject, struct routing_faults * faults);
void routing_read_end(struct reading * r);

#endif
