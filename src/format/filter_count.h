/* SPDX-License-Identifier: MIT
 *
 * How many records of each evaluation pass a filter, without making them where the graph tells: an evaluation has the
 * records of its graph's plan, but for operands that vary. Of these, most have the same number of records in almost all
 * evaluations of a plan: one row is written to the cache, two experts are used. What is usual is found once.
 */
#ifndef TAT_FORMAT_FILTER_COUNT_H
#define TAT_FORMAT_FILTER_COUNT_H

#include "format/plan.h"
#include "tat/filter.h"

struct usual_counts;

/* NULL, with *error: no memory, or a file that was cut. */
struct usual_counts * usual_counts_new(const struct tat_trace * trace, struct tat_error * error);
void usual_counts_free(struct usual_counts * usual); /* NULL is allowed */

/* Sets counts[i] for each evaluation of the trace. 0, or -1 with *error as tat_filter_expand. */
int filter_count(const struct tat_filter * filter, const struct usual_counts * usual, uint64_t * counts,
                 struct tat_error * error);

#endif
