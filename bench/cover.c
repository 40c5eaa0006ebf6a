/* SPDX-License-Identifier: MIT
 *
 * What it costs to cover a piece of a model's mapping with memory and to put the file there again: microseconds, the
 * median of many rounds, in each of the ways that were considered. `touch` is what reading each page once costs
 * afterwards. Another thread of the same process computes meanwhile, so that page tables have to be flushed on its
 * processor too.
 *
 *   cover FILE [PAGES [ROUNDS]]
 *
 * With 512 pages, those of a large page are mapped as one where the kernel maps the file at such an address.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "manage/cover.h"
#include "system/large_pages.h"

enum { PIECES = 64, PAGE = 4096 };

static struct mapped_file file;
static struct pool * pool;
static int memory = -1; /* a memfd for the ways that need a descriptor */
static uint32_t pages;

static double now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double) t.tv_sec * 1e6 + (double) t.tv_nsec / 1e3;
}

static struct pool_place place_of(unsigned piece) {
    return (struct pool_place){ .run = { { piece * pages, pages } }, .n_runs = 1 };
}

/* ---- the ways ---- */

static void put_double(char * at, unsigned piece) {
    const struct pool_place place = place_of(piece);
    if (!cover_put(&file, at, pages, pool, &place, 0)) { perror("cover_put"); }
}

static void remove_double(char * at, unsigned piece) {
    (void) piece;
    if (!cover_remove(&file, at, pages)) { perror("cover_remove"); }
}

static void put_mapped(char * at, unsigned piece, int protection, int flags) {
    const off_t offset = (off_t) piece * pages * PAGE;
    mmap(at, (size_t) pages * PAGE, protection, MAP_SHARED | MAP_FIXED | flags, memory, offset);
    madvise(at, (size_t) pages * PAGE, MADV_DONTFORK);
}

static void put_populate(char * at, unsigned piece) {
    put_mapped(at, piece, PROT_READ, MAP_POPULATE);
}

static void put_writable(char * at, unsigned piece) {
    put_mapped(at, piece, PROT_READ | PROT_WRITE, MAP_POPULATE);
}

static void put_plain(char * at, unsigned piece) {
    put_mapped(at, piece, PROT_READ, 0);
}

static void put_touch(char * at, unsigned piece) {
    const struct pool_place place = place_of(piece);
    mremap(pool_read_only_at(pool, place.run[0].page), 0, (size_t) pages * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at);
    for (uint32_t i = 0; i < pages; i += 16) { (void) *(volatile char *) (at + (size_t) i * PAGE); }
}

static void remove_mapped(char * at, unsigned piece) {
    (void) piece;
    mmap(at, (size_t) pages * PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, file.fd, at - file.at);
    madvise(at, (size_t) pages * PAGE, MADV_RANDOM);
}

/* As with neighbours in memory whose border pages have to be covered anew. */
static void remove_between(char * at, unsigned piece) {
    const struct pool_place other = place_of((piece + PIECES / 2) % PIECES);
    if (pages < 3) { return; }
    cover_put(&file, at, 1, pool, &other, 0);
    cover_put(&file, at + (size_t) (pages - 1) * PAGE, 1, pool, &other, pages - 1);
    if (!cover_remove(&file, at + PAGE, pages - 2)) { perror("cover_remove"); }
}

static const struct way {
    const char * name;
    void (*put)(char *, unsigned);
    void (*remove)(char *, unsigned);
} ways[] = {
    { "mmap, populated, writable", put_writable, remove_mapped },
    { "mmap, populated", put_populate, remove_mapped },
    { "mmap, faults later", put_plain, remove_mapped },
    { "doubled, a page in 16 touched", put_touch, remove_double },
    { "doubled, border pages anew", put_double, remove_between },
    { "doubled, populated (used)", put_double, remove_double },
};

/* ---- measuring ---- */

static int stops;

static void * compute(void * unused) {
    (void) unused;
    for (volatile unsigned sum = 0; !__atomic_load_n(&stops, __ATOMIC_RELAXED);) { sum++; }
    return NULL;
}

static int by_value(const void * a, const void * b) {
    const double x = *(const double *) a, y = *(const double *) b;
    return (x > y) - (x < y);
}

static double median(double * values, unsigned n) {
    qsort(values, n, sizeof *values, by_value);
    return values[n / 2];
}

static void measure(const struct way * way, unsigned rounds, const char * folios) {
    double *put = calloc(rounds, sizeof *put), *take = calloc(rounds, sizeof *take),
           *touch = calloc(rounds, sizeof *touch);
    for (unsigned i = 0; i < rounds; i++) {
        const unsigned piece = i % PIECES;
        char * at = file.at + (size_t) piece * pages * PAGE;
        const double a = now_us();
        way->put(at, piece);
        const double b = now_us();
        for (uint32_t p = 0; p < pages; p++) { (void) *(volatile char *) (at + (size_t) p * PAGE); }
        const double c = now_us();
        way->remove(at, piece);
        take[i] = now_us() - c;
        put[i] = b - a;
        touch[i] = c - b;
    }
    const double p = median(put, rounds), t = median(touch, rounds), r = median(take, rounds);
    printf("%-32s %-6s %8.1f %8.1f %8.1f %8.1f\n", way->name, folios, p, t, r, p + t + r);
    free(put);
    free(take);
    free(touch);
}

static void measure_all(unsigned rounds, const char * folios) {
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) { measure(&ways[i], rounds, folios); }
}

int main(int argc, char ** argv) {
    pages = argc > 2 ? (uint32_t) atoi(argv[2]) : 135;
    const unsigned rounds = argc > 3 ? (unsigned) atoi(argv[3]) : 5000;
    const size_t bytes = (size_t) PIECES * pages * PAGE;
    file = (struct mapped_file){ .bytes = bytes, .protection = PROT_READ, .is_shared = true, .fd = -1 };
    file.fd = argc > 1 ? open(argv[1], O_RDONLY | O_CLOEXEC) : -1;
    file.at = mmap(NULL, bytes, PROT_READ, MAP_SHARED, file.fd, 0);
    memory = memfd_create("cover", MFD_CLOEXEC);
    pool = pool_new(bytes);
    if (file.at == MAP_FAILED || !pool || ftruncate(memory, (off_t) bytes) != 0 || !cover_begin(&file)) {
        fprintf(stderr, "cover: cover FILE [PAGES [ROUNDS]], of a file of at least %zu bytes\n", bytes);
        return 2;
    }
    char * other = mmap(NULL, bytes + (2 << 20), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    other += (2 << 20) - (size_t) other % (2 << 20);
    other = mmap(other, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, memory, 0);
    memset(other, 1, bytes);
    memset(pool_at(pool, 0), 1, bytes);
    pthread_t thread;
    pthread_create(&thread, NULL, compute, NULL);
    printf("%u pages, %u rounds, us           folios      put    touch   remove      sum\n", pages, rounds);
    measure_all(rounds, "4K");
    if (madvise(pool_at(pool, 0), bytes, MADV_COLLAPSE) == 0 && madvise(other, bytes, MADV_COLLAPSE) == 0) {
        measure_all(rounds, "2M");
    } else {
        perror("MADV_COLLAPSE");
    }
    __atomic_store_n(&stops, 1, __ATOMIC_RELAXED);
    pthread_join(thread, NULL);
    return 0;
}
