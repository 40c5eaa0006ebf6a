/* SPDX-License-Identifier: MIT
 *
 * What pages of records are made with, for their own files.
 */
#ifndef TAT_ANALYSIS_VIEW_RECORDS_PARTS_H
#define TAT_ANALYSIS_VIEW_RECORDS_PARTS_H

#include "analysis/view/records.h"

enum { RECORDS_CONDITIONS_MAX = 64 };

struct records_condition {
    const char * name; /* of a filter; static */
    char * value;
};

/* All that is asked of records, but for a node. NULL, with *error. */
struct tat_filter * records_query_filter(const struct records_query * query, const struct tat_trace * trace,
                                         struct tat_error * error);

/* The same for queries with the same filter. NULL: no memory. */
char * records_query_key(const struct records_query * query);

/* The first RECORDS_SORTED_MAX of the records of evaluations that pass, in an order that is not that of time; ties are
 * in the order of time. *count is how many there are. NULL, with *error. */
struct tat_access * records_sort(const struct tat_filter * filter, enum records_order order, uint32_t * count,
                                 struct tat_error * error);

#endif
