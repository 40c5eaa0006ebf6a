/* SPDX-License-Identifier: MIT
 *
 * The pool's pages: against a map of them, one by one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "manage/pool.h"
#include "system/large_pages.h"

enum { PAGES = 1000, PLACES = 200, STEPS = 200000, TAKE_MOST = 150 };

static size_t page_bytes;

static uint64_t bytes_of(uint32_t pages) {
    return (uint64_t) pages * page_bytes;
}

static int by_count_falling(const void * a, const void * b) {
    const uint32_t x = *(const uint32_t *) a, y = *(const uint32_t *) b;
    return (x < y) - (x > y);
}

/* In how many runs so many pages can be had at best. */
static unsigned runs_needed(const bool * used, uint32_t pages) {
    uint32_t run[PAGES], n = 0;
    for (uint32_t i = 0; i < PAGES; i++) {
        if (used[i]) { continue; }
        if (i == 0 || used[i - 1]) { run[n++] = 0; }
        run[n - 1]++;
    }
    qsort(run, n, sizeof *run, by_count_falling);
    unsigned needed = 0;
    for (uint32_t had = 0; had < pages; needed++) {
        if (needed == n) { return POOL_RUNS_MOST + 1; }
        had += run[needed];
    }
    return needed;
}

static void mark(bool * used, const struct pool_place * place, bool as) {
    for (unsigned i = 0; i < place->n_runs; i++) {
        for (uint32_t p = 0; p < place->run[i].count; p++) {
            const uint32_t page = place->run[i].page + p;
            assert_true(page < PAGES && used[page] != as);
            used[page] = as;
        }
    }
}

static uint32_t size_of(const struct pool_place * place) {
    uint32_t pages = 0;
    for (unsigned i = 0; i < place->n_runs; i++) {
        assert_true(place->run[i].count > 0 && (i == 0 || place->run[i].count <= place->run[i - 1].count));
        pages += place->run[i].count;
    }
    return pages;
}

static void test_takes_and_gives_at_random(void ** state) {
    (void) state;
    static bool used[PAGES];
    static struct pool_place places[PLACES];
    struct pool * pool = pool_new(bytes_of(PAGES) - 1);
    assert_non_null(pool);
    assert_int_equal(pool_pages(pool), PAGES);
    unsigned seed = 13, refused = 0, in_parts = 0;
    uint32_t free_pages = PAGES;
    for (unsigned step = 0; step < STEPS; step++) {
        struct pool_place * place = &places[(unsigned) rand_r(&seed) % PLACES];
        if (place->n_runs) {
            free_pages += size_of(place);
            mark(used, place, false);
            pool_give(pool, place);
            assert_int_equal(place->n_runs, 0);
        } else {
            const uint32_t pages = 1 + (uint32_t) rand_r(&seed) % (step % 100 ? TAKE_MOST / 5 : TAKE_MOST);
            const unsigned needed = runs_needed(used, pages);
            const bool taken = pool_take(pool, pages, place);
            assert_int_equal(taken, needed <= POOL_RUNS_MOST);
            assert_int_equal(place->n_runs, taken ? needed : 0);
            assert_int_equal(size_of(place), taken ? pages : 0);
            mark(used, place, true);
            free_pages -= taken ? pages : 0;
            refused += !taken;
            in_parts += needed > 1;
        }
        assert_int_equal(pool_pages_free(pool), free_pages);
    }
    assert_true(refused > 100 && in_parts > 100); /* or it was too easy */
    for (unsigned i = 0; i < PLACES; i++) { pool_give(pool, &places[i]); }
    assert_true(pool_take(pool, PAGES, &places[0])); /* all is one run again */
    assert_int_equal(places[0].n_runs, 1);
    assert_false(pool_take(pool, 1, &places[1]));
    pool_free(pool);
}

/* What streams is given back in the order in which it was taken, between pieces that stay, and holes come to be of
 * every size. All pages are in use now and then. */
static void test_streams_through_all_pages(void ** state) {
    (void) state;
    enum { RING = 2630, PIECES = 4096, ROUNDS = 20000, STAY = 200 };
    static const uint32_t sizes[] = { 253, 1, 69, 2, 36, 1, 136, 3, 252, 12 };
    static struct pool_place places[PIECES], stays[STAY];
    unsigned seed = 13, first = 0, end = 0, n_stays = 0;
    uint32_t used = 0;
    struct pool * pool = pool_new(bytes_of(RING + STAY * 10));
    assert_non_null(pool);
    for (unsigned i = 0; i < ROUNDS; i++) {
        const uint32_t pages = sizes[(unsigned) rand_r(&seed) % (sizeof sizes / sizeof *sizes)];
        if (n_stays < STAY && i % 3 == 0) { assert_true(pool_take(pool, 10, &stays[n_stays++])); }
        while (used + pages > RING) {
            struct pool_place * oldest = &places[first++ % PIECES];
            used -= size_of(oldest);
            pool_give(pool, oldest);
        }
        assert_true(pool_take(pool, pages, &places[end++ % PIECES]));
        used += pages;
    }
    while (first < end) { pool_give(pool, &places[first++ % PIECES]); }
    while (n_stays) { pool_give(pool, &stays[--n_stays]); }
    pool_free(pool);
}

/* An exact run, or else the smallest that is large enough. */
static void test_fits_best(void ** state) {
    (void) state;
    struct pool * pool = pool_new(bytes_of(100));
    struct pool_place gap[6], wall[6];
    static const uint32_t sizes[] = { 12, 7, 9, 5, 20, 6 };
    for (int i = 0; i < 6; i++) { assert_true(pool_take(pool, sizes[i], &gap[i]) && pool_take(pool, 1, &wall[i])); }
    for (int i = 0; i < 6; i++) { pool_give(pool, &gap[i]); }
    struct pool_place a, b;
    assert_true(pool_take(pool, 9, &a) && a.n_runs == 1 && a.run[0].page == wall[1].run[0].page + 1);
    assert_true(pool_take(pool, 8, &b) && b.n_runs == 1 && b.run[0].page == 0);
    assert_false(pool_take(pool, 0, &a));
    pool_free(pool);
    pool_free(NULL);
    assert_null(pool_new(0));
    assert_null(pool_new(UINT64_MAX));
}

static uint32_t resident(const struct pool * pool, uint32_t from, uint32_t pages) {
    static unsigned char here[4096];
    uint32_t n = 0;
    assert_true(pages <= sizeof here);
    assert_int_equal(mincore(pool_at(pool, from), bytes_of(pages), here), 0);
    for (uint32_t i = 0; i < pages; i++) { n += here[i] & 1; }
    return n;
}

static void test_memory(void ** state) {
    (void) state;
    struct pool * pool = pool_new(bytes_of(4096));
    struct pool_place place;
    int ends[2];
    assert_int_equal(resident(pool, 0, 4096), 0);
    assert_true(pool_take(pool, 300, &place));
    const uint32_t page = place.run[0].page;
    memset(pool_at(pool, page), 'a', bytes_of(300));
    assert_memory_equal(pool_at(pool, page), pool_read_only_at(pool, page), bytes_of(300));
    pool_give(pool, &place);
    assert_true(pool_take(pool, 300, &place) && place.run[0].page == page);
    assert_int_equal(pool_at(pool, page + 299)[page_bytes - 1], 'a'); /* not zeroed again */
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "b", 1), 1);
    assert_int_equal(read(ends[0], pool_read_only_at(pool, page), 1), -1);
    assert_int_equal(errno, EFAULT);
    close(ends[0]);
    close(ends[1]);
    pool_free(pool);
}

static void test_shrinks(void ** state) {
    (void) state;
    struct pool * pool = pool_new(bytes_of(4096));
    struct pool_place kept, given, all;
    assert_true(pool_take(pool, 700, &kept) && pool_take(pool, 3396, &given));
    for (uint32_t i = 0; i < 4096; i++) { memset(pool_at(pool, i), (int) i, page_bytes); }
    pool_give(pool, &given);
    assert_int_equal(pool_shrink(pool, 1000), 1000);
    assert_int_equal(pool_pages(pool), 3096);
    assert_int_equal(pool_pages_free(pool), 3096 - 700);
    assert_int_equal(resident(pool, 0, 3096), 3096);
    assert_int_equal(resident(pool, 3096, 1000), 0);
    for (uint32_t i = 0; i < 700; i++) { assert_int_equal(*pool_at(pool, i), (char) i); }
    assert_true(pool_take(pool, 3096 - 700, &all));
    assert_int_equal(all.run[0].page, 700);
    assert_int_equal(resident(pool, 3096, 1000), 0); /* nor does it come back */
    assert_int_equal(pool_shrink(pool, 1), 0);
    pool_give(pool, &kept);
    assert_int_equal(pool_shrink(pool, 10000), 700);
    assert_int_equal(resident(pool, 0, 700), 0);
    assert_int_equal(resident(pool, 700, 3096 - 700), 3096 - 700);
    pool_free(pool);
}

static uint32_t taken_first(struct pool * pool) {
    struct pool_place place;
    assert_true(pool_take(pool, 1, &place));
    *pool_at(pool, 0) = 1;
    return resident(pool, 0, LARGE_PAGE / (uint32_t) page_bytes);
}

/* A prompt may need room before there is anything in the pool. */
static void test_shrinks_before_it_is_used(void ** state) {
    (void) state;
    struct pool *whole = pool_new(4 * LARGE_PAGE), *shrunk = pool_new(4 * LARGE_PAGE);
    const uint32_t pages = pool_pages(shrunk) / 4;
    assert_int_equal(pool_shrink(shrunk, pages / 2), pages / 2);
    assert_int_equal(taken_first(shrunk), taken_first(whole)); /* in a large page, where the kernel makes them */
    struct pool_place rest;
    assert_true(pool_take(shrunk, pool_pages_free(shrunk), &rest));
    assert_int_equal(resident(shrunk, 4 * pages - pages / 2, pages / 2), 0);
    pool_free(whole);
    pool_free(shrunk);
}

/* However often, as with the prompts of a server. */
static void test_grows_again_where_it_shrank(void ** state) {
    (void) state;
    enum { FEW = 100, MORE = 140, KEPT = 30 };
    struct pool * pool = pool_new_growing(bytes_of(FEW), bytes_of(MORE));
    struct pool_place kept, rest;
    assert_int_equal(pool_pages_most(pool), MORE);
    for (unsigned i = 0; i < 20; i++) {
        assert_true(pool_take(pool, KEPT, &kept) && pool_take(pool, FEW - KEPT, &rest));
        memset(pool_at(pool, kept.run[0].page), (int) i, bytes_of(kept.run[0].count));
        pool_give(pool, &rest);
        assert_int_equal(pool_shrink(pool, FEW / 2), FEW / 2);
        assert_int_equal(pool_grow(pool, FEW / 2), FEW / 2);
        assert_int_equal(pool_pages(pool), FEW);
        assert_int_equal(pool_pages_free(pool), FEW - KEPT);
        assert_int_equal(*pool_at(pool, kept.run[0].page), (char) i);
        pool_give(pool, &kept);
    }
    assert_int_equal(pool_grow(pool, FEW), MORE - FEW);
    pool_free(pool);
}

/* As a read does that is under way, a pipe holds on to a page; if that is a large one, the kernel takes no part of it
 * back. What is said to be gone is gone. */
static void test_shrinks_beside_a_read(void ** state) {
    (void) state;
    struct pool * pool = pool_new(bytes_of(2048));
    struct pool_place held, rest;
    int ends[2];
    static char page[1 << 16];
    assert_true(pool_take(pool, 100, &held) && pool_take(pool, 1948, &rest));
    memset(pool_at(pool, 0), 1, bytes_of(2048));
    pool_give(pool, &rest);
    struct iovec part = { pool_at(pool, 50), page_bytes };
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(vmsplice(ends[1], &part, 1, 0), (ssize_t) page_bytes);
    const uint32_t given = pool_shrink(pool, 1948);
    assert_int_equal(pool_pages(pool), 2048 - given);
    assert_true(given == 0 || resident(pool, 100, 1948) == 0);
    assert_int_equal(read(ends[0], page, page_bytes), (ssize_t) page_bytes);
    assert_int_equal(pool_shrink(pool, 1948), 1948 - given);
    assert_int_equal(resident(pool, 100, 1948), 0);
    assert_int_equal(resident(pool, 0, 100), 100);
    close(ends[0]);
    close(ends[1]);
    pool_free(pool);
}

static unsigned count_descriptors(void) {
    DIR * dir = opendir("/proc/self/fd");
    unsigned n = 0;
    while (readdir(dir)) { n++; }
    closedir(dir);
    return n;
}

/* A fork that no handler sees has none of it. */
static void test_leaves_nothing_behind(void ** state) {
    (void) state;
    const unsigned before = count_descriptors();
    struct pool * pool = pool_new(bytes_of(100));
    memset(pool_at(pool, 0), 1, bytes_of(100));
    assert_int_equal(count_descriptors(), before);
    const pid_t child = (pid_t) syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (child == 0) {
        unsigned char here[1];
        const bool gone =
            mincore(pool_at(pool, 50), 1, here) != 0 && mincore(pool_read_only_at(pool, 50), 1, here) != 0;
        _exit(!gone);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    pool_free(pool);
}

int main(void) {
    page_bytes = (size_t) sysconf(_SC_PAGESIZE);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_takes_and_gives_at_random),
        cmocka_unit_test(test_streams_through_all_pages),
        cmocka_unit_test(test_fits_best),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_shrinks),
        cmocka_unit_test(test_shrinks_before_it_is_used),
        cmocka_unit_test(test_grows_again_where_it_shrank),
        cmocka_unit_test(test_shrinks_beside_a_read),
        cmocka_unit_test(test_leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
