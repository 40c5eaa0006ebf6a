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
#include "analysis/view/offsets.h"

enum { WIDE = 2048, HIGH = 1024, WINDOWS = 10, PLACES = 3 }; /* as large as any that the page asks for */

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double) t.tv_sec + (double) t.tv_nsec / 1e9;
}

static int by_value(const void * a, const void * b) {
    const double x = *(const double *) a, y = *(const double *) b;
    return (x > y) - (x < y);
}

static void print_times(const char * name, double * seconds, size_t n) {
    qsort(seconds, n, sizeof *seconds, by_value);
    printf("%-44s %6.1f ms, worst %6.1f ms\n", name, 1e3 * seconds[n / 2], 1e3 * seconds[n - 1]);
}

/* From the whole run to a few tokens, and the widest that blocks are too wide for. */
static uint64_t width_of(const struct pyramid * p, unsigned i) {
    const uint64_t narrow = (uint64_t) (WIDE + 7) / 8 * p->block - 1;
    if (i + 1 < WINDOWS) { return (p->n_tokens >> i) + 1; }
    return narrow < p->n_tokens ? narrow : p->n_tokens;
}

static int time_windows(const struct subject * s, const struct pyramid * p, struct grid_query q, const char * name) {
    struct tat_error error;
    double seconds[WINDOWS * PLACES];
    size_t n = 0;
    for (unsigned i = 0; i < WINDOWS; i++) {
        const uint64_t width = width_of(p, i);
        for (unsigned place = 0; place < PLACES; place++) {
            struct grid_tile tile;
            q.x0 = q.x == GRID_TOKENS && width < p->n_tokens ? (p->n_tokens - width) * place / (PLACES - 1) : 0;
            q.x1 = q.x0 + width;
            const double begin = now();
            if (view_grid(s, &q, p, &tile, &error) != 0) { return fprintf(stderr, "view: %s\n", error.message); }
            seconds[n++] = now() - begin;
            grid_tile_free(&tile);
        }
    }
    print_times(name, seconds, n);
    return 0;
}

/* Windows of any length of time, of all files and of a part of them. */
static int time_offsets(const struct subject * s, enum offsets_by by, const char * name) {
    struct tat_error error;
    double seconds[2 * WINDOWS * PLACES];
    size_t n = 0;
    const double begin = now();
    struct file_reads * reads = file_reads_make(s, &error);
    if (!reads) { return fprintf(stderr, "view: %s\n", error.message); }
    printf("%-44s %6.1f ms, once\n", "reads of files", 1e3 * (now() - begin));
    const uint64_t t0 = s->evaluations[0].begin_ns, t1 = s->evaluations[s->n_evaluations - 1].end_ns + 1;
    for (unsigned i = 0; i < 2 * WINDOWS; i++) {
        const uint64_t width = (t1 - t0) >> i / 2;
        for (unsigned place = 0; place < PLACES; place++) {
            const uint64_t from = t0 + (t1 - t0 - width) / (PLACES - 1) * place, low = i % 2 ? s->model_bytes / 3 : 0;
            const struct offsets_query q = { by, from, from + width, low, i % 2 ? 2 * low : UINT64_MAX / 2, 1400, 700 };
            struct grid_tile tile;
            const double asked = now();
            if (view_offsets(s, &q, reads, &tile, &error) != 0) { return fprintf(stderr, "view: %s\n", error.message); }
            seconds[n++] = now() - asked;
            grid_tile_free(&tile);
        }
    }
    file_reads_free(reads);
    print_times(name, seconds, n);
    return 0;
}

static int time_all(const struct subject * s, const struct pyramid * p) {
    static const char * const measures[] = { "bytes", "accesses", "time" };
    static const char * const rows[] = { "layer", "tensor", "component", "expert" };
    char name[64];
    for (unsigned y = GRID_BY_LAYER; y <= GRID_BY_EXPERT; y++) {
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
    const int status = time_all(&s, p) != 0 || time_offsets(&s, OFFSETS_BY_PLACE, "time x offset") != 0 ||
                       time_offsets(&s, OFFSETS_BY_ORDER, "time x offset, by order of first reads") != 0;
    pyramid_free(p);
    token_axis_free(&axis);
    subject_free(&s);
    tat_trace_close(trace);
    return status;
}
