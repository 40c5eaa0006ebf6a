/* SPDX-License-Identifier: MIT
 *
 * A walk over the records that pass a filter, from inside: for filter_walk.c, and for filter_count.c, which counts
 * them.
 */
#ifndef TAT_FORMAT_FILTER_WALK_H
#define TAT_FORMAT_FILTER_WALK_H

#include "format/access_heads.h"
#include "format/expand_state.h"
#include "format/filter.h"

struct walk {
    const struct tat_filter * filter;
    struct expansion x;
    struct access_heads * heads; /* NULL: records are not split */
    struct pick ** picks;        /* by template and rule, made when first needed */
    bool * tensors;              /* whose records are wanted, by number; NULL: all */
    tat_access_sink sink;
    void * user;
};

/* `filter`, `sink` and `user` are set, all else is zero. False, with *error: end it too. */
bool filter_walk_begin(struct walk * w, struct tat_error * error);
void filter_walk_end(struct walk * w);

bool filter_wants_evaluation(const struct tat_filter * f, uint32_t number);

/* The records of a plan that may pass. NULL: no memory. */
struct pick * filter_pick(struct walk * w, const struct tat_evaluation * e, const struct plan * plan);

/* Whether a record passes what the filter says of experts and bytes. */
bool filter_wants_place(const struct walk * w, const struct tat_access * a);

/* Gives the sink an evaluation's records that pass; the last of them with expansion_flush. False: expansion_fail knows
 * why. */
bool filter_walk_evaluation(struct walk * w, uint32_t number);

#endif
