/* SPDX-License-Identifier: MIT
 *
 * How fast pieces of a file are read into the pool, past the page cache: by io_uring and by threads, into a pool of
 * small pages and of large ones. The ways take turns; the median of their rounds is told, with the processor time that
 * a read costs. The disk does other things too: only figures of one table compare.
 *
 *   reads FILE [PAGES [DEPTH [ROUNDS]]]
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "manage/reader.h"

enum { WAYS = 4, ROUNDS_MOST = 101, READS = 300, PLACES = 128, PAGE = 4096 };

static int file;
static uint64_t file_pages;
static uint32_t pages;
static unsigned depth;

static double now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double) t.tv_sec + (double) t.tv_nsec / 1e9;
}

static double processor_s(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double) (u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double) (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void start(struct reader * reader, struct pool * pool, struct pool_place * place, unsigned tag) {
    struct read_job job = { .fd = file,
                            .offset = (uint64_t) rand() % (file_pages - pages) * PAGE,
                            .bytes = (uint64_t) pages * PAGE,
                            .tag = tag };
    if (!pool_take(pool, pages, place)) { abort(); }
    for (; job.n_parts < place->n_runs; job.n_parts++) {
        const struct pool_run run = place->run[job.n_parts];
        job.part[job.n_parts] = (struct iovec){ pool_at(pool, run.page), (size_t) run.count * PAGE };
    }
    reader_start(reader, &job);
}

static void read_some(struct reader * reader, struct pool * pool, unsigned count) {
    static struct pool_place places[PLACES];
    static unsigned idle[PLACES];
    unsigned n_idle = 0, started = 0, ended = 0;
    for (unsigned i = 0; i < depth; i++) { idle[n_idle++] = i; }
    while (ended < count) {
        for (; started < count && n_idle; started++) {
            const unsigned tag = idle[--n_idle];
            start(reader, pool, &places[tag], tag);
        }
        struct read_done done[8];
        const unsigned n = reader_wait(reader, done, 8, 1000000000);
        for (unsigned i = 0; i < n; i++) {
            if (done[i].error) { fprintf(stderr, "reads: errno %d\n", done[i].error); }
            pool_give(pool, &places[done[i].tag]);
            idle[n_idle++] = (unsigned) done[i].tag;
        }
        ended += n;
    }
}

/* Each round with a pool of its own, all of which was used before. */
static void measure(enum reader_kind kind, bool large, double * rate, double * cost) {
    struct pool * pool = pool_new(64u << 20);
    struct reader * reader = reader_new(kind, depth);
    struct pool_place all;
    if (!pool || !reader) { exit(1); }
    if (!large) { pool_shrink(pool, 0); } /* from then on, it makes no large pages */
    pool_take(pool, pool_pages(pool), &all);
    for (uint32_t i = 0; i < pool_pages(pool); i++) { *(volatile char *) pool_at(pool, i) = 1; }
    pool_give(pool, &all);
    const double begin = now_s(), processor = processor_s();
    read_some(reader, pool, READS);
    *rate = (double) READS * pages * PAGE / (now_s() - begin) / 1e6;
    *cost = (processor_s() - processor) * 1e6 / READS;
    reader_free(reader);
    pool_free(pool);
}

static int by_value(const void * a, const void * b) {
    const double x = *(const double *) a, y = *(const double *) b;
    return (x > y) - (x < y);
}

static double median(double * values, unsigned n) {
    qsort(values, n, sizeof *values, by_value);
    return values[n / 2];
}

int main(int argc, char ** argv) {
    static double rate[WAYS][ROUNDS_MOST], cost[WAYS][ROUNDS_MOST];
    struct stat status;
    file = argc > 1 ? open(argv[1], O_RDONLY | O_CLOEXEC | O_DIRECT) : -1;
    pages = argc > 2 ? (uint32_t) atoi(argv[2]) : 135;
    depth = argc > 3 ? (unsigned) atoi(argv[3]) : 8;
    const unsigned rounds = argc > 4 ? (unsigned) atoi(argv[4]) : 9;
    if (file < 0 || fstat(file, &status) != 0 || (uint64_t) status.st_size / PAGE <= pages || depth > PLACES ||
        rounds > ROUNDS_MOST || rounds == 0) {
        fputs("reads: reads FILE [PAGES [DEPTH [ROUNDS]]]\n", stderr);
        return 2;
    }
    file_pages = (uint64_t) status.st_size / PAGE;
    for (unsigned round = 0; round < rounds; round++) {
        for (unsigned way = 0; way < WAYS; way++) {
            measure(way % 2 ? READER_THREADS : READER_URING, way / 2, &rate[way][round], &cost[way][round]);
        }
    }
    printf("%u pages a read, %u at once, %u rounds      MB/s   us of processor a read\n", pages, depth, rounds);
    for (unsigned way = 0; way < WAYS; way++) {
        printf("%-9s %s pages %25.0f %10.1f\n", way % 2 ? "threads," : "io_uring,", way / 2 ? "large" : "small",
               median(rate[way], rounds), median(cost[way], rounds));
    }
    return 0;
}
