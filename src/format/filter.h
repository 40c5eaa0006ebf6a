/* SPDX-License-Identifier: MIT
 *
 * A filter from inside: what filter.c takes in, and filter_walk.c asks.
 */
#ifndef TAT_FORMAT_FILTER_H
#define TAT_FORMAT_FILTER_H

#include "format/number_set.h"
#include "format/trace.h"
#include "tat/filter.h"

enum filter_key {
    FILTER_TOKENS,
    FILTER_PHASES,
    FILTER_EVALUATIONS,
    FILTER_CONTEXTS,
    FILTER_MODEL,
    FILTER_LAYERS,
    FILTER_TENSORS,
    FILTER_COMPONENTS,
    FILTER_KINDS,
    FILTER_OPS,
    FILTER_EXPERTS,
    FILTER_HEADS,
    FILTER_FILES,
    FILTER_AT,
    FILTER_AT_TIME,
    FILTER_KEYS
};

struct tat_filter {
    const struct tat_trace * trace;
    bool has[FILTER_KEYS];               /* a condition of that name was added */
    struct number_set sets[FILTER_KEYS]; /* of those that are numbers */
    bool split;                          /* attention by head */
    unsigned phases, kinds;              /* bits */
    uint64_t components;                 /* bits; the one above all stands for activations and inputs */
    bool *tensors, *ops, *files;         /* by number, those with the names; NULL unless there are conditions */
    uint32_t model;                      /* whose graphs are wanted, or 0 */
    uint32_t file_model;                 /* whose weights alone are wanted, or 0 */
};
static_assert(TAT_COMPONENT_COUNT < 64, "bits of components, and one more");

/* Fails with these words and the files that there are. */
int filter_list_files(const struct tat_trace * trace, enum tat_error_kind kind, const char * what,
                      struct tat_error * error);

#endif
