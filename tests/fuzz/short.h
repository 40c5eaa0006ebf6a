/* SPDX-License-Identifier: MIT
 *
 * Which traces are worth asking everything: a small file may stand for any number of records.
 */
#ifndef TAT_FUZZ_SHORT_H
#define TAT_FUZZ_SHORT_H

#include "tat/trace.h"

enum { RECORDS_MOST = 1 << 18 };

static bool count_down(const struct tat_access * records, size_t count, void * user) {
    uint64_t * const left = user;
    (void) records;
    *left = *left > count ? *left - count : 0;
    return *left > 0;
}

static bool is_short(const struct tat_trace * trace) {
    struct tat_error error;
    uint64_t left = RECORDS_MOST;
    uint32_t count;
    tat_trace_evaluations(trace, &count);
    tat_trace_expand(trace, 0, count, count_down, &left, &error);
    return left > 0;
}

#endif
