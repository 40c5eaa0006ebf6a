/* SPDX-License-Identifier: MIT
 *
 * Which nodes of a graph must come before which, whatever the order: what an operation reads must have been computed,
 * and where nodes write to the same tensor (the KV cache, an addition in place), reads and writes of it keep their
 * order.
 */
#ifndef TAT_ANALYSIS_ORDER_DEPEND_H
#define TAT_ANALYSIS_ORDER_DEPEND_H

#include "analysis/analysis.h"

/* The order among some chosen nodes, the elements: element j comes before element i if that bit of `before + i * words`
 * is set. */
struct depend {
    uint32_t count, words;
    uint64_t * before;
};

enum depend_status { DEPEND_KNOWN, DEPEND_TOO_LARGE, DEPEND_FAILED };

/* `nodes`: the numbers of the elements' nodes, ascending. Call depend_free after DEPEND_KNOWN; else there was no memory
 * (failed). */
enum depend_status depend_make(struct depend * d, const struct subject * subject, const struct tat_template * t,
                               const uint32_t * nodes, uint32_t count);
void depend_free(struct depend * d);

static inline bool depend_is_before(const struct depend * d, uint32_t j, uint32_t i) {
    return d->before[(size_t) i * d->words + j / 64] >> j % 64 & 1;
}

#endif
