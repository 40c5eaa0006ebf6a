/* SPDX-License-Identifier: MIT
 *
 * Which access records are wanted. Commands, Python and SQL take these filters by the same names and with the same
 * meaning, because all of them ask here. doc/filters.md describes them to users.
 */
#ifndef TAT_FILTER_H
#define TAT_FILTER_H

#include "tat/trace.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Conditions on the records of one trace. A record passes if it meets one condition of each name that was added.
 * Without any, all records pass. */
struct tat_filter;

/* The names, such as "layers", and what their values look like, such as "RANGE" or "csv|bin" (one of these words).
 * `index` counts from 0; NULL behind the last. */
const char * tat_filter_name(unsigned index);
const char * tat_filter_value(unsigned index);

/* Checks a condition without a trace. Returns 0, or -1 with *error (TAT_ERROR_USAGE): no such name, or its value makes
 * no sense. In a name, - and _ are the same. */
int tat_filter_check(const char * name, const char * value, struct tat_error * error);

/* The trace must live longer. Free it with tat_filter_free, which takes NULL. NULL on failure: no memory. */
struct tat_filter * tat_filter_new(const struct tat_trace * trace, struct tat_error * error);
void tat_filter_free(struct tat_filter * filter);

/* Adds a condition. A `value` of NULL is one that no record meets. Returns 0, or -1 with *error: TAT_ERROR_USAGE as
 * above; TAT_ERROR_NO if the trace has no tensor, operation, model or file of that name; or no memory. */
int tat_filter_add(struct tat_filter * filter, const char * name, const char * value, struct tat_error * error);

/* Like tat_trace_expand and tat_trace_accesses, with those records alone that pass. With heads, a record of attention
 * comes as its parts. Evaluations and records that cannot pass are not made. A filter can be used by several threads
 * once all conditions were added. TAT_ERROR_USAGE also if `at` was added and it is not clear which file is meant. */
int tat_filter_expand(const struct tat_filter * filter, uint32_t first, uint32_t last, tat_access_sink sink,
                      void * user, struct tat_error * error);
int tat_filter_accesses(const struct tat_filter * filter, uint32_t first, uint32_t last, struct tat_access * records,
                        size_t capacity, size_t * count, struct tat_error * error);

/* What there is none of, in a record given to tat_filter_choose. */
#define TAT_NO_EVALUATION UINT32_MAX
#define TAT_NO_TENSOR     UINT32_MAX
#define TAT_NO_OP         UINT16_MAX

/* Which records pass, of some that were not made by this library but describe other things that happened at a place
 * and a time, such as page faults. They may lack an evaluation, a tensor, an operation, a layer, an expert or a time
 * (TAT_ACCESS_UNTIMED); without one, they meet no condition on it. 0, or -1 with *error: TAT_ERROR_USAGE also for
 * heads, which only accesses have. */
int tat_filter_choose(const struct tat_filter * filter, const struct tat_access * records, size_t count, bool * chosen,
                      struct tat_error * error);

#ifdef __cplusplus
}
#endif
#endif
