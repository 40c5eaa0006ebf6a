/* SPDX-License-Identifier: MIT
 *
 * What pages of records are made with, for their own files.
 */
#ifndef TAT_ANALYSIS_VIEW_RECORDS_PARTS_H
#define TAT_ANALYSIS_VIEW_RECORDS_PARTS_H

#include <pthread.h>

#include "analysis/view/records.h"

enum { RECORDS_CONDITIONS_MAX = 64, RECORDS_FILTERS_KEPT = 16 };

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

/* ---- filters that are kept ---- */

/* A filter, with what was found out about it. */
struct records_kept {
    struct tat_filter * filter;
    char * key;
    uint64_t * before; /* by evaluation: records that pass of the evaluations before it; one more for all */
    struct tat_access * sorted[RECORDS_ORDERS];
    uint32_t n_sorted[RECORDS_ORDERS];
    unsigned users; /* who is at it now */
    uint64_t asked; /* the last question, by number */
};

struct view_records {
    const struct tat_trace * trace;
    uint32_t n_evaluations;
    pthread_mutex_t table;   /* guards what is kept, and which; what a kept filter points to does not change */
    pthread_mutex_t finding; /* one at a time finds out something that takes long; taken before the other */
    struct usual_counts * usual;
    struct records_kept * kept[RECORDS_FILTERS_KEPT];
    uint64_t asked;
};

int records_fail_memory(const struct view_records * v, struct tat_error * error);

/* The query's filter, with its counts; found out if it is not kept. Release it when it is done with. NULL, with *error.
 */
struct records_kept * records_keep(struct view_records * v, const struct records_query * query,
                                   struct tat_error * error);
void records_release(struct view_records * v, struct records_kept * k);

/* Makes k->sorted[order] be there. 0, or -1 with *error. */
int records_find_sorted(struct view_records * v, struct records_kept * k, enum records_order order,
                        struct tat_error * error);

#endif
