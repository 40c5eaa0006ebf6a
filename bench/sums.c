/* SPDX-License-Identifier: MIT
 *
 * Three sums that people want first, without a record being made: hottest weights, layers, tokens against layers. The
 * best of five, one thread, processor time.
 *
 *   sums TRACE
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "tat/analysis.h"
#include "tat/sums.h"

enum { ROUNDS = 5 };

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double) t.tv_sec + (double) t.tv_nsec / 1e9;
}

static void keep_least(double * least, double value) {
    if (*least <= 0 || value < *least) { *least = value; }
}

int main(int argc, char ** argv) {
    static const char * const names[] = { "hot", "layers" };
    struct tat_error error;
    double open = 0, sections = 0, matrix = 0, together = 0;
    for (int round = 0; round < ROUNDS; round++) {
        const double begin = seconds();
        struct tat_trace * trace = argc == 2 ? tat_trace_open(argv[1], &error) : NULL;
        if (!trace) {
            fprintf(stderr, "sums: %s\n", argc == 2 ? error.message : "usage: sums TRACE");
            return 2;
        }
        uint32_t n;
        tat_trace_evaluations(trace, &n);
        const double opened = seconds();
        char * answers = tat_analyze(trace, names, 2, NULL, &error);
        const double said = seconds();
        uint64_t * sums = malloc(sizeof *sums * n * tat_matrix_columns(trace, TAT_BY_LAYER));
        if (!answers || !sums || tat_matrix(trace, TAT_BY_LAYER, TAT_SUM_BYTES, 0, 0, n, sums, &error) != 0) {
            return 4;
        }
        const double end = seconds();
        keep_least(&open, opened - begin);
        keep_least(&sections, said - opened);
        keep_least(&matrix, end - said);
        keep_least(&together, end - opened);
        free(answers);
        free(sums);
        tat_trace_close(trace);
    }
    printf("open %.3f s; hottest weights and layers %.3f s, tokens x layers %.3f s: together %.3f s\n", open, sections,
           matrix, together);
    return 0;
}
