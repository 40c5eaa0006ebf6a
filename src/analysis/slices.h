/* SPDX-License-Identifier: MIT
 *
 * Slices: what is read as one. A weight is one slice, a stack of experts one for each expert. Numbered from 0 in the
 * order of tensors.
 */
#ifndef TAT_ANALYSIS_SLICES_H
#define TAT_ANALYSIS_SLICES_H

#include "analysis/analysis.h"

#define NO_SLICE UINT32_MAX

struct slices {
    uint32_t * first;       /* by tensor; one more for the end */
    uint32_t * tensor;      /* by slice */
    uint32_t count, lumped; /* stacks too large to take apart: one slice each */
    bool stacked;           /* true if any stack was taken apart */
};

/* False: no memory. Free it in either case. */
bool slices_find(struct slices * s, const struct subject * subject);
void slices_free(struct slices * s);

/* How many slices a tensor has: 1, one per expert, or 0 if it is not a weight. */
static inline uint32_t slices_of(const struct slices * s, uint32_t tensor) {
    return s->first[tensor + 1] - s->first[tensor];
}

/* The slice that a record belongs to; NO_SLICE if it is not of a weight, or if it is of a stack and the expert is
 * unknown. */
static inline uint32_t slice_of(const struct slices * s, const struct tat_access * a) {
    const uint32_t n = slices_of(s, a->tensor);
    if (n == 1) { return s->first[a->tensor]; }
    return a->expert < n ? s->first[a->tensor] + a->expert : NO_SLICE;
}

/* The same, of the weight's first tensor: a model that was loaded again has the same bytes. */
static inline uint32_t slice_of_weight(const struct slices * s, const struct subject * subject,
                                       const struct tat_access * a) {
    struct tat_access first = *a;
    first.tensor = subject->tensors[a->tensor].weight;
    return slice_of(s, &first);
}

/* The slice's expert, or TAT_NO_EXPERT if it is a whole tensor. */
static inline uint16_t slice_expert(const struct slices * s, uint32_t slice) {
    const uint32_t tensor = s->tensor[slice];
    return slices_of(s, tensor) == 1 ? TAT_NO_EXPERT : (uint16_t) (slice - s->first[tensor]);
}

static inline uint64_t slice_bytes(const struct slices * s, const struct subject * subject, uint32_t slice) {
    const uint32_t tensor = s->tensor[slice];
    return subject->tensors[tensor].bytes / slices_of(s, tensor);
}

#endif
