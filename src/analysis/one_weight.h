/* SPDX-License-Identifier: MIT
 *
 * Records in which tensors that are one weight of a model file have the number of the first (struct tat_tensor's
 * `weight`): after a model was loaded again, its weights are still the same.
 */
#ifndef TAT_ANALYSIS_ONE_WEIGHT_H
#define TAT_ANALYSIS_ONE_WEIGHT_H

#include "tat/sums.h"
#include "tat/trace.h"

struct one_weight {
    const struct tat_tensor * tensors;
    bool any;    /* false: there is nothing to do */
    bool failed; /* memory */
    struct tat_access * records;
    size_t capacity;
};

struct one_weight one_weight_of(const struct tat_trace * trace);
void one_weight_free(struct one_weight * w);

/* The records themselves if there is nothing to do; else copies, valid until the next call. NULL, with failed: no
 * memory. */
const struct tat_access * one_weight_records(struct one_weight * w, const struct tat_access * records, size_t count);

#endif
