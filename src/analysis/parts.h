/* SPDX-License-Identifier: MIT
 *
 * What sections share: parts of the model, nodes and accesses counted in a tally, the bytes of a record.
 */
#ifndef TAT_ANALYSIS_PARTS_H
#define TAT_ANALYSIS_PARTS_H

#include <math.h>

#include "analysis/analysis.h"
#include "analysis/ranges.h"

/* The model's components, and one part more for activations and the inputs of a graph. */
#define ACTIVATIONS TAT_COMPONENT_COUNT
enum { PARTS = TAT_COMPONENT_COUNT + 1 };

static inline unsigned part_of(const struct tat_tensor * t) {
    return holder_of(t) == HOLDS_ACTIVATION ? ACTIVATIONS : (unsigned) t->component;
}

static inline const char * part_name(unsigned part) {
    return part == ACTIVATIONS ? "activations" : tat_component_name((enum tat_component) part);
}

/* Finds where nodes begin among records that are alike. */
struct node_counter {
    uint32_t evaluation, node;
    bool any;
};

/* The nodes that begin with record `i`: in how many evaluations; 0: none begins there. */
static inline uint64_t node_counter_step(struct node_counter * c, const struct tat_tally * t, size_t i) {
    const struct tat_access * a = &t->records[i];
    if (!t->alike) { return 0; }
    const bool same = c->any && c->evaluation == a->evaluation && c->node == a->node;
    *c = (struct node_counter){ a->evaluation, a->node, true };
    return same ? 0 : t->evaluations;
}

/* An access is one operand of one operation, or one expert of that operand. Its further records are pieces. */
struct access_counter {
    uint32_t evaluation, node;
    uint16_t expert;
    uint8_t operand;
    bool alike, touched;
};

/* How many accesses begin with record `i`, in all its evaluations. */
static inline uint64_t access_counter_step(struct access_counter * c, const struct tat_tally * t, size_t i) {
    const struct tat_access * a = &t->records[i];
    const bool same = c->touched && c->alike == t->alike && c->evaluation == a->evaluation && c->node == a->node &&
                      c->operand == a->operand && c->expert == a->expert;
    *c = (struct access_counter){ a->evaluation, a->node, a->expert, a->operand, t->alike, a->bytes > 0 };
    return same || a->bytes == 0 ? 0 : t->evaluations;
}

/* How hot a weight is whose every byte was read so many times in the mean: whole reads, since rows gathered beside them
 * make no difference that matters; below one, the exact share. */
static inline double heat_of(double reads) {
    return reads < 1 ? reads : round(reads);
}

/* The bytes that a record touches, in an address space of the caller's. */
static inline struct range access_range(const struct subject * subject, const struct tat_access * a, uint64_t space) {
    if (!(a->flags & TAT_ACCESS_STRIDED)) { return (struct range){ space, a->offset, a->bytes, 0, 1 }; }
    const struct tat_layout layout = tat_trace_layout(subject->trace, a->layout);
    return (struct range){ space, a->offset, layout.run_bytes, layout.stride, a->rows };
}

#endif
