/* SPDX-License-Identifier: MIT
 *
 * What it gains to bring the next rows of a weight into the processor's caches before they are multiplied: threads that
 * share each weight's rows, as ggml's do, multiply one weight after the other, 525 MiB a token. Prints how fast, by
 * processor time, and the ratio to no prefetch in the same round: median, and lowest and highest.
 *
 * On 2 cores of a Xeon with 2 MiB of L2 each, busy with other programs too, 15 rounds, 1 thread (2 threads): the row 2
 * ahead 1.46 (1.45), the row 8 ahead 1.41 (1.42), the first 64 KiB of the next weight 1.02 (1.01), the next weight by
 * one more thread 1.23 (1.02). The first two are in ggml's hands, so none of this is done.
 *
 *     cc -O3 -march=native -pthread -o next_rows bench/next_rows.c && ./next_rows [THREADS] [ROUNDS]
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROW = 1536, ROWS = 512, WEIGHTS = 700, LINE = 64, FIRST = 64 << 10, ROUNDS_MOST = 100, THREADS_MOST = 64 };

static const char * const ways[] = { "none", "the row 2 ahead", "the row 8 ahead",
                                     "each thread's first 64 KiB of the next weight",
                                     "the next weight, by one more thread" };
enum way { NONE, AHEAD_2, AHEAD_8, NEXT_WEIGHT, HELPER, WAYS };

static int8_t *weights, x[ROW];
static int n_threads = 2;
static unsigned at_weight; /* that is multiplied now, for the helper */
static enum way way;

struct share {
    int thread;
    int32_t sum; /* so that it is computed */
    double s;
};

static const int8_t * row_of(int weight, int row) {
    return weights + ((size_t) weight * ROWS + (size_t) row) * ROW;
}

static void fetch(const int8_t * at, size_t bytes) {
    for (size_t i = 0; i < bytes; i += LINE) { __builtin_prefetch(at + i); }
}

static int32_t dot(const int8_t * row) {
    int32_t sum = 0;
    for (int i = 0; i < ROW; i++) { sum += row[i] * x[i]; }
    return sum;
}

static int32_t multiply(int thread, int weight) {
    const int first = ROWS * thread / n_threads, end = ROWS * (thread + 1) / n_threads;
    const int ahead = way == AHEAD_2 ? 2 : way == AHEAD_8 ? 8 : 0;
    int32_t sum = 0;
    if (way == NEXT_WEIGHT && weight + 1 < WEIGHTS) { fetch(row_of(weight + 1, first), FIRST); }
    for (int row = first; row < end; row++) {
        if (ahead && row + ahead < end) { fetch(row_of(weight, row + ahead), ROW); }
        sum += dot(row_of(weight, row));
    }
    return sum;
}

/* Of processor time: other programs run meanwhile. */
static double thread_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double) t.tv_sec + (double) t.tv_nsec / 1e9;
}

static void * compute(void * argument) {
    struct share * share = argument;
    const double began = thread_s();
    for (int weight = 0; weight < WEIGHTS; weight++) {
        if (share->thread == 0) { __atomic_store_n(&at_weight, (unsigned) weight, __ATOMIC_RELAXED); }
        share->sum += multiply(share->thread, weight);
    }
    share->s = thread_s() - began;
    return NULL;
}

static void * help(void * unused) {
    for (unsigned next = 1; next < WEIGHTS;) {
        if (__atomic_load_n(&at_weight, __ATOMIC_RELAXED) + 1 < next) { continue; }
        fetch(row_of((int) next++, 0), (size_t) ROWS * ROW);
    }
    return unused;
}

static double token(void) {
    static struct share share[THREADS_MOST];
    pthread_t thread[THREADS_MOST], helper;
    double s = 0;
    __atomic_store_n(&at_weight, 0, __ATOMIC_RELAXED);
    if (way == HELPER) { pthread_create(&helper, NULL, help, NULL); }
    for (int i = 0; i < n_threads; i++) {
        share[i].thread = i;
        pthread_create(&thread[i], NULL, compute, &share[i]);
    }
    for (int i = 0; i < n_threads; i++) {
        pthread_join(thread[i], NULL);
        s += share[i].s;
    }
    if (way == HELPER) { pthread_join(helper, NULL); }
    return s / n_threads;
}

static int by_size(const void * left, const void * right) {
    const double l = *(const double *) left, r = *(const double *) right;
    return (l > r) - (l < r);
}

int main(int argc, char ** argv) {
    static double ratio[WAYS][ROUNDS_MOST], rate[WAYS][ROUNDS_MOST];
    const double all = (double) WEIGHTS * ROWS * ROW;
    int rounds = argc > 2 ? atoi(argv[2]) : 30;
    if (argc > 1) { n_threads = atoi(argv[1]); }
    if (n_threads < 1 || n_threads > THREADS_MOST || rounds < 1 || rounds > ROUNDS_MOST) { return 2; }
    weights = malloc((size_t) all + FIRST);
    if (!weights) { return 4; }
    memset(weights, 3, (size_t) all + FIRST);
    memset(x, 5, sizeof x);
    for (int round = 0; round < rounds; round++) {
        for (way = NONE; way < WAYS; way++) {
            rate[way][round] = all / token() / 1e9;
            ratio[way][round] = rate[way][round] / rate[NONE][round];
        }
    }
    for (way = NONE; way < WAYS; way++) {
        qsort(rate[way], (size_t) rounds, sizeof(double), by_size);
        qsort(ratio[way], (size_t) rounds, sizeof(double), by_size);
        printf("%-46s %6.2f GB/s  %.3f (%.3f to %.3f)\n", ways[way], rate[way][rounds / 2], ratio[way][rounds / 2],
               ratio[way][0], ratio[way][rounds - 1]);
    }
    return 0;
}
