/* SPDX-License-Identifier: MIT
 *
 * Pages of access records: those that pass a filter, in an order, from any place on. A page costs what it shows, not
 * what the trace has: how many records of each evaluation pass is counted once for each filter and kept, and a page in
 * the order of time makes the records of the evaluations it shows, and no others.
 */
#ifndef TAT_ANALYSIS_VIEW_RECORDS_H
#define TAT_ANALYSIS_VIEW_RECORDS_H

#include "format/list.h"
#include "tat/filter.h"

enum {
    RECORDS_PAGE_MAX = 1000,    /* rows of a page */
    RECORDS_SORTED_MAX = 20000, /* rows that are put in an order other than that of time */
};

enum records_order {
    RECORDS_BY_TIME, /* the order of execution */
    RECORDS_BY_TIME_BACK,
    RECORDS_BY_BYTES_DOWN,
    RECORDS_BY_BYTES_UP,
    RECORDS_BY_DURATION_DOWN,
    RECORDS_BY_DURATION_UP,
    RECORDS_BY_OFFSET_DOWN,
    RECORDS_BY_OFFSET_UP,
    RECORDS_ORDERS
};

/* "time", "-time", "-bytes", "bytes", "-duration", "duration", "-offset", "offset"; NULL behind the last. */
const char * records_order_name(unsigned order);

/* Which records, and which of them. Begins zeroed: all records, in the order of execution, from the first on. */
struct records_query {
    struct list conditions; /* struct records_condition: what a struct tat_filter takes */
    enum records_order order;
    uint64_t from;                 /* the first row wanted, from 0 */
    uint32_t count;                /* rows wanted; 0: RECORDS_PAGE_MAX */
    bool has_near, has_near_token; /* in the order of time, where the page begins in place of `from` */
    uint64_t near_ns;
    uint32_t near_token;
    bool has_lo, has_hi, has_t0, has_t1;
    uint64_t lo, hi, t0, t1;  /* bytes of the model file, from lo on, below hi; nanoseconds likewise */
    bool has_graph, has_node; /* only records of this evaluation, of this node of it */
    uint32_t evaluation, node;
    bool has_tensor; /* only records of tensors with the name of this one */
    uint32_t tensor;
};

/* Takes a parameter as addresses have it, decoded:
 *   phase, layer, component, op, expert, tokens, kind, context
 *                   as the filters of tat dump (doc/filters.md); with commas between values
 *   tensor          any part of a name, or a pattern with * or ?
 *   tensor_id       a tensor's number: all tensors of its name, beside those that `tensor` finds
 *   lo, hi          bytes of the model file, from lo on, below hi
 *   t0, t1          nanoseconds since the trace began, from t0 on, below t1
 *   file            number of the model file that lo and hi are about
 *   graph, node     an evaluation; a node of it
 *   order, from, count
 *   near            in the order of time, in place of from: nanoseconds; the first record that ends later
 *   near_token      likewise: the first record of the graph that computed this token
 * An empty value is as if the parameter were not there. 0, or -1 with *error (TAT_ERROR_USAGE): there is no such
 * parameter, or its value makes no sense. Free the query in either case. */
int records_query_set(struct records_query * query, const char * name, const char * value, struct tat_error * error);
void records_query_free(struct records_query * query);

struct records_page {
    uint64_t total;     /* records that pass, exact */
    uint64_t reachable; /* of these, rows that there are in this order: RECORDS_SORTED_MAX at most, but all by time */
    uint64_t from;      /* the first row of the page */
    uint32_t count;
    struct tat_access * rows;
};

/* What is kept of a trace for the next page. The trace must live and not change as long as pages are asked for. Any
 * number of threads may ask at once; of those who ask for the same filter while it is counted, one counts. */
struct view_records;

struct view_records * view_records_new(const struct tat_trace * trace, struct tat_error * error);
void view_records_free(struct view_records * records); /* NULL is allowed */

/* Finds out what pages of all filters need, and counts all records, so that the first page does not
 * take longer than others. If it fails, so will the page. */
void view_records_prepare(struct view_records * records);

/* 0, or -1 with *error: TAT_ERROR_USAGE, memory, or a file that was cut. It is not an error if nothing passes, or if
 * the trace has no tensor, operation or file of that name. Free the page with records_page_free; after an error there
 * is none. */
int view_records_page(struct view_records * records, const struct records_query * query, struct records_page * page,
                      struct tat_error * error);
void records_page_free(struct records_page * page);

#endif
