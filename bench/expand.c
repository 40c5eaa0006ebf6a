/* SPDX-License-Identifier: MIT
 *
 * How fast the reader makes access records: the whole trace, again and again, one thread; the best of ten.
 *
 *   expand TRACE
 */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "tat/trace.h"

enum { ROUNDS = 10, LEAST_RECORDS = 20000000 };

static bool sum_bytes(const struct tat_access * records, size_t count, void * user) {
    uint64_t * sum = user;
    for (size_t i = 0; i < count; i++) { *sum += records[i].bytes; }
    return true;
}

static bool count_records(const struct tat_access * records, size_t count, void * user) {
    (void) records;
    *(uint64_t *) user += count;
    return true;
}

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double) t.tv_sec + (double) t.tv_nsec / 1e9;
}

int main(int argc, char ** argv) {
    struct tat_error error;
    uint64_t records = 0, sum = 0;
    uint32_t count;
    struct tat_trace * trace = argc == 2 ? tat_trace_open(argv[1], &error) : NULL;
    if (!trace) {
        fprintf(stderr, "expand: %s\n", argc == 2 ? error.message : "usage: expand TRACE");
        return 2;
    }
    tat_trace_evaluations(trace, &count);
    tat_trace_expand(trace, 0, count, count_records, &records, &error);
    double best = 0;
    for (int round = 0; round < ROUNDS && records; round++) {
        const uint64_t times = LEAST_RECORDS / records + 1;
        const double begin = seconds();
        for (uint64_t i = 0; i < times; i++) { tat_trace_expand(trace, 0, count, sum_bytes, &sum, &error); }
        const double rate = (double) (records * times) / (seconds() - begin);
        if (rate > best) { best = rate; }
    }
    printf("%" PRIu64 " access records: %.0f million a second\n", records, best / 1e6);
    tat_trace_close(trace);
    return sum == 0;
}
