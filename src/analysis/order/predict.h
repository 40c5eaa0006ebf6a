/* SPDX-License-Identifier: MIT
 *
 * Can the next weight be predicted? Predictors trained on the first half of the generated tokens, scored on the second.
 */
#ifndef TAT_ANALYSIS_ORDER_PREDICT_H
#define TAT_ANALYSIS_ORDER_PREDICT_H

#include "analysis/order/graph.h"
#include "analysis/order/guess.h"

/* The sequence of evaluations of one context. */
struct stream {
    struct sequence before; /* what the last evaluation read */
    bool begun;
    uint32_t repeats; /* passes in a row over the same sequence, counted up to 2 */
    struct tail tensors, slices;
};

struct prediction {
    const struct subject * subject;
    struct order_slices * slices;
    struct guess by_tensor, by_slice;
    struct graph_orders graph;
    struct graph_score graph_tensors, graph_slices;
    uint64_t trained, scored; /* evaluations */
    struct stream * last;     /* the stream that the last pass was made over */
    uint64_t waiting;         /* passes that repeat its last one; they are made together, later */
    bool frozen, failed;
};

bool prediction_begin(struct prediction * p, const struct subject * subject, struct order_slices * slices);
void prediction_free(struct prediction * p);

/* Takes in an evaluation of a stream. `identical`: to stream->before. `train`: true in the first half. */
void prediction_add(struct prediction * p, struct stream * stream, const struct sequence * now, bool identical,
                    bool train);
void prediction_end(struct prediction * p);

void prediction_tell(const struct prediction * p, struct result * r);

#endif
