/* SPDX-License-Identifier: MIT
 *
 * The graph as a predictor: the host builds it before it computes, so the order of its nodes and operands tells what
 * weights will be read. It knows the tensor; where the bytes depend on data (experts) it says what the token before
 * read.
 */
#ifndef TAT_ANALYSIS_ORDER_GRAPH_H
#define TAT_ANALYSIS_ORDER_GRAPH_H

#include "analysis/order/guess.h"
#include "analysis/order/same.h"

struct graph_orders {
    const struct subject * subject;
    struct order_slices * slices;
    struct expected_order ** order; /* by template and for either rule; made when first needed */
};

struct graph_score {
    uint64_t accesses, bytes;
    struct score score;
    struct difference first; /* the first wrong access */
};

/* False: no memory. */
bool graph_orders_begin(struct graph_orders * g, const struct subject * subject, struct order_slices * slices);
void graph_orders_free(struct graph_orders * g);

/* Scores an evaluation that read `q`, and did so `times` times. `before`: what the evaluation before read, or NULL.
 * False: no memory. */
bool graph_orders_score(struct graph_orders * g, const struct sequence * before, const struct sequence * q,
                        uint64_t times, struct graph_score * tensors, struct graph_score * slices);

#endif
