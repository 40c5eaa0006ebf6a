/* SPDX-License-Identifier: MIT
 *
 * What the pictures of tat view cost without the server: opening, the sums by blocks of tokens, windows of any size.
 *
 *   view TRACE
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "analysis/view/grid.h"

enum { WIDE = 1200, HIGH = 600, WINDOWS = 9 };

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double) t.tv_sec + (double) t.tv_nsec / 1e9;
}

static int by_value(const void * a, const void * b) {
    const double x = *(const double *) a, y = *(const double *) b;
    return (x > y) - (x < y);
}

/* The seconds that windows take, from the whole run to a few tokens, at different places. */
static int time_windows(const struct subject * s, const struct pyramid * p, struct grid_query q, const char * name) {
    struct tat_error error;
    double seconds[WINDOWS * 3];
    size_t n = 0;
    for (unsigned i = 0; i < WINDOWS; i++) {
        const uint64_t width = (p->n_tokens >> i) + 1;
        for (unsigned place = 0; place < 3; place++) {
            struct grid_tile tile;
            q.x0 = q.x == GRID_TOKENS ? (p->n_tokens - width) * place / 2 : 0;
            q.x1 = q.x0 + width;
            const double begin = now();
            if (view_grid(s, &q, p, &tile, &error) != 0) { return fprintf(stderr, "view: %s\n", error.message); }
            seconds[n++] = now() - begin;
            grid_tile_free(&tile);
        }
    }
    qsort(seconds, n, sizeof *seconds, by_value);
    printf("%-44s %6.1f ms, worst %6.1f ms\n", name, 1e3 * seconds[n / 2], 1e3 * seconds[n - 1]);
    return 0;
}

static int time_all(const struct subject * s, const struct pyramid * p) {
    static const char * const measures[] = { "bytes", "accesses", "time" };
    static const char * const rows[] = { "layer", "tensor", "expert", "component" };
    char name[64];
    for (unsigned y = GRID_BY_LAYER; y <= GRID_BY_COMPONENT; y++) {
        for (unsigned m = 0; m < TAT_MEASURE_COUNT; m++) {
            if (y == GRID_BY_EXPERT && (m == TAT_SUM_NS || !p->width[PYRAMID_BY_EXPERT])) { continue; }
            struct grid_query q = {
                GRID_TOKENS, (enum grid_rows) y, (enum tat_measure) m, 0, 0, 0, UINT64_MAX / 2, WIDE, HIGH, -1
            };
            snprintf(name, sizeof name, "token x %s, %s", rows[y], measures[m]);
            if (time_windows(s, p, q, name) != 0) { return -1; }
            if (y != GRID_BY_EXPERT) { continue; }
            q.layer = 1;
            snprintf(name, sizeof name, "token x expert of layer 1, %s", measures[m]);
            if (time_windows(s, p, q, name) != 0) { return -1; }
            q.layer = -1;
            q.x = GRID_LAYERS;
            snprintf(name, sizeof name, "layer x expert, %s", measures[m]);
            if (time_windows(s, p, q, name) != 0) { return -1; }
        }
    }
    return 0;
}

int main(int argc, char ** argv) {
    struct tat_error error = { 0 };
    struct subject s;
    struct token_axis axis;
    const double begin = now();
    struct tat_trace * trace = argc == 2 ? tat_trace_open(argv[1], &error) : NULL;
    if (!trace) {
        fprintf(stderr, "view: %s\n", argc == 2 ? error.message : "usage: view TRACE");
        return 2;
    }
    const double opened = now();
    if (!subject_begin(&s, trace, NULL) || !token_axis_begin(&axis, &s)) { return 2; }
    const double learnt = now();
    struct pyramid * p = pyramid_make(&s, &axis, NULL, NULL, &error);
    if (!p) {
        fprintf(stderr, "view: %s\n", error.message);
        return 2;
    }
    printf("open %.3f s, subject %.3f s, sums %.3f s: %" PRIu32 " blocks of %" PRIu32 " of %" PRIu32
           " tokens, %.1f MiB\n",
           opened - begin, learnt - opened, now() - learnt, p->n_blocks, p->block, p->n_tokens,
           (double) (p->n_blocks * p->row * sizeof *p->sums) / (1 << 20));
    const int status = time_all(&s, p);
    pyramid_free(p);
    token_axis_free(&axis);
    subject_free(&s);
    tat_trace_close(trace);
    return status != 0;
}
