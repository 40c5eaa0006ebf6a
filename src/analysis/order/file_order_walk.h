/* SPDX-License-Identifier: MIT
 *
 * The reads of a model file's tensors, in a trace, one after the other: what file_order and file_seeks walk over.
 */
#ifndef TAT_ANALYSIS_ORDER_FILE_ORDER_WALK_H
#define TAT_ANALYSIS_ORDER_FILE_ORDER_WALK_H

#include "analysis/analysis.h"

struct file_walk {
    struct subject subject;
    uint32_t * tensor; /* by the trace's number: the model's, or UINT32_MAX */
    bool * wanted;     /* evaluations: whole ones that generated a token or, if there is none, that read a prompt */
    uint64_t n_wanted;
    bool generated;
};

/* Returns 0, or -1 with *error. Call file_walk_end in either case. */
int file_walk_begin(struct file_walk * w, const struct tat_gguf * gguf, const struct tat_trace * trace,
                    struct tat_error * error);
void file_walk_end(struct file_walk * w);

/* The number of the tensor that a record reads, or UINT32_MAX if it is not one of the reads walked over. */
static inline uint32_t file_walk_tensor(const struct file_walk * w, const struct tat_access * a) {
    const bool counts = w->wanted[a->evaluation] && a->bytes > 0 && !(a->flags & TAT_ACCESS_WRITE);
    return counts ? w->tensor[a->tensor] : UINT32_MAX;
}

#endif
