/* SPDX-License-Identifier: MIT
 *
 * The string of references to weights, for other simulators of caches: each read of prompt and generation, in order.
 */
#ifndef TAT_EXPORT_REFERENCE_STRING_H
#define TAT_EXPORT_REFERENCE_STRING_H

#include <stdio.h>

#include "tat/trace.h"

struct reference_format;

extern const struct reference_format reference_csv;    /* a line with a heading of names */
extern const struct reference_format reference_oracle; /* libCacheSim's oracleGeneral: 24 bytes a read */

/* "csv", "oracleGeneral". */
const char * reference_format_name(const struct reference_format * format);

struct reference_request {
    const struct reference_format * format;
    uint64_t unit;      /* as cache_unit of struct tat_analysis_options */
    const char * model; /* as tat_trace_find_model takes it; NULL: the main one */
};

struct reference_count {
    uint64_t reads, items, graphs, all_graphs; /* graphs less than all: the string was too long */
};

/* Writes to `out`, which stays the caller's; `name` is for messages. Nothing is written where there are no reads. Sets
 * *count. Returns 0, or -1 with *error: a model that there is not, an item that the format has no room for, writing, or
 * memory. */
int reference_string_write(const struct reference_request * request, const struct tat_trace * trace, FILE * out,
                           const char * name, struct reference_count * count, struct tat_error * error);

#endif
