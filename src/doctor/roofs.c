/* SPDX-License-Identifier: MIT
 *
 * A round: all threads begin together, each reads its part of the buffer, as often as takes some hundredths of a
 * second. It lasts until the last of them is done.
 */
#include "doctor/roofs.h"

#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "doctor/kernels.h"
#include "system/clock.h"

enum { ROUND_NS = 40000000, CACHE_UNKNOWN = 32 << 20, BUFFER_LEAST = 256 << 20, LINE = 64, ROOF_THREADS_MOST = 512 };

/* ---- the machine ---- */

static uint64_t read_size(const char * path) {
    FILE * file = fopen(path, "re");
    unsigned long long size = 0;
    char unit = 0;
    const int n = file ? fscanf(file, "%llu%c", &size, &unit) : 0;
    if (file) { fclose(file); }
    return n < 1 ? 0 : unit == 'K' ? size << 10 : unit == 'M' ? size << 20 : size;
}

/* Of the highest level that the kernel lists. */
static uint64_t last_cache(void) {
    uint64_t largest = 0;
    for (int i = 0; i < 8; i++) {
        char path[96];
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/size", i);
        const uint64_t size = read_size(path);
        if (size > largest) { largest = size; }
    }
    return largest ? largest : CACHE_UNKNOWN;
}

static unsigned processors(void) {
    cpu_set_t set;
    const int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : (int) sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (unsigned) n : 1;
}

/* ---- a round ---- */

struct job {
    const uint8_t * bytes; /* NULL: arithmetic */
    size_t size;
    uint64_t times; /* over all of them */
};

struct crew {
    const struct job * job;
    unsigned n;
    int go; /* 1: begin; -1: there are too few */
};

struct member {
    struct crew * crew;
    unsigned number;
    uint64_t from_ns, to_ns;
    pthread_t thread;
};

static void work(const struct job * job, unsigned number, unsigned n) {
    const size_t lines = job->size / LINE, from = lines * number / n * LINE, to = lines * (number + 1) / n * LINE;
    for (uint64_t i = 0; job->bytes && i < job->times; i++) { kernel_read(job->bytes + from, to - from); }
    if (!job->bytes) { kernel_multiply(job->times); }
}

static void * member_runs(void * argument) {
    struct member * m = argument;
    int go;
    while ((go = __atomic_load_n(&m->crew->go, __ATOMIC_ACQUIRE)) == 0) { sched_yield(); }
    m->from_ns = clock_ns();
    if (go > 0) { work(m->crew->job, m->number, m->crew->n); }
    m->to_ns = clock_ns();
    return NULL;
}

/* From the first thread's beginning to the last one's end; 0: a thread could not be started. */
static uint64_t run_round(const struct job * job, unsigned n) {
    struct crew crew = { .job = job, .n = n };
    struct member members[ROOF_THREADS_MOST];
    uint64_t from = UINT64_MAX, to = 0;
    unsigned started = 1;
    for (unsigned i = 0; i < n; i++) { members[i] = (struct member){ .crew = &crew, .number = i }; }
    while (started < n && pthread_create(&members[started].thread, NULL, member_runs, &members[started]) == 0) {
        started++;
    }
    __atomic_store_n(&crew.go, started == n ? 1 : -1, __ATOMIC_RELEASE);
    member_runs(&members[0]);
    for (unsigned i = 1; i < started; i++) { pthread_join(members[i].thread, NULL); }
    for (unsigned i = 0; i < started; i++) {
        if (members[i].from_ns < from) { from = members[i].from_ns; }
        if (members[i].to_ns > to) { to = members[i].to_ns; }
    }
    return started < n ? 0 : to > from ? to - from : 1;
}

static int by_time(const void * a, const void * b) {
    const uint64_t x = *(const uint64_t *) a, y = *(const uint64_t *) b;
    return x < y ? -1 : x > y;
}

/* Times once over, in ns: the least, the median, the most. False: a thread could not be started. */
static bool measure(struct job job, unsigned n, double ns[static 3]) {
    uint64_t rounds[ROOF_ROUNDS];
    job.times = job.bytes ? 1 : 1 << 16;
    const uint64_t once = run_round(&job, n); /* warms up, too */
    if (!once) { return false; }
    job.times = job.times * (ROUND_NS / once + 1);
    for (int i = 0; i < ROOF_ROUNDS; i++) {
        rounds[i] = run_round(&job, n);
        if (!rounds[i]) { return false; }
    }
    qsort(rounds, ROOF_ROUNDS, sizeof rounds[0], by_time);
    for (int i = 0; i < 3; i++) { ns[i] = (double) rounds[i * (ROOF_ROUNDS - 1) / 2] / (double) job.times; }
    return true;
}

/* ---- all of it ---- */

static bool measure_reads(struct roofs * r, const uint8_t * bytes, size_t size, unsigned n) {
    double ns[3];
    if (!measure((struct job){ .bytes = bytes, .size = size }, n, ns)) { return false; }
    r->read[r->n_reads++] = (struct roof_read){ n, size, 1e9 * (double) size / ns[1], 1e9 * (double) size / ns[2],
                                                1e9 * (double) size / ns[0] };
    return true;
}

static bool measure_arithmetic(struct roofs * r, unsigned n) {
    double ns[3];
    const double operations = 2.0 * KERNEL_STEP * kernel_multiply(1) * n;
    if (!measure((struct job){ 0 }, n, ns)) { return false; }
    r->arithmetic[r->n_arithmetic++] =
        (struct roof_arithmetic){ n, 1e9 * operations / ns[1], 1e9 * operations / ns[2], 1e9 * operations / ns[0] };
    return true;
}

/* 1, 2, 3, 4, 6, 8, 12, ... and at last `most`. */
static unsigned next_count(unsigned n, unsigned most) {
    const unsigned next = n < 4 ? n + 1 : (n & (n - 1)) == 0 ? n / 2 * 3 : n / 3 * 4;
    return n >= most ? 0 : next < most ? next : most;
}

static bool measure_all(struct roofs * r, const uint8_t * bytes, size_t size) {
    const unsigned most = processors() < ROOF_THREADS_MOST ? processors() : ROOF_THREADS_MOST;
    for (unsigned n = 1; n && r->n_arithmetic < ROOF_THREADS_MAX; n = next_count(n, most)) {
        if (!measure_reads(r, bytes, r->cache_bytes / 4, n) || !measure_reads(r, bytes, size, n) ||
            !measure_arithmetic(r, n)) {
            return false;
        }
    }
    return true;
}

int roofs_measure(struct roofs * r, struct tat_error * error) {
    *r = (struct roofs){ .cache_bytes = last_cache() };
    const size_t size = 2 * r->cache_bytes > BUFFER_LEAST ? 2 * r->cache_bytes : BUFFER_LEAST;
    uint8_t * bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (bytes == MAP_FAILED) { return tat_fail_errno(error, "memory to measure with"); }
    madvise(bytes, size, MADV_HUGEPAGE); /* where it is refused, pages are small */
    memset(bytes, 1, size);
    const bool good = measure_all(r, bytes, size);
    munmap(bytes, size);
    return good ? 0 : tat_fail_errno(error, "a thread to measure with");
}
