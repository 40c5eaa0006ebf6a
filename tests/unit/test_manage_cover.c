/* SPDX-License-Identifier: MIT
 *
 * Covering a file's mapping: whatever is done, each address holds the file's bytes, for all threads at all times.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "covered_file.h"

enum { STEPS = 6000, FORKS = 40 };

static void step(unsigned * seed) {
    const unsigned piece = (unsigned) rand_r(seed) % PIECES;
    if (held[piece].n_runs) {
        drop(piece);
    } else if (!put(piece)) {
        for (unsigned p = 0; p < PIECES / 3; p++) {
            if (held[p].n_runs) { drop(p); }
        }
    }
}

static void test_covers_and_uncovers(void ** state) {
    (void) state;
    struct pool_place walls[5];
    for (int i = 0; i < 5; i++) { assert_true(pool_take(pool, i < 4 ? 3 : ROOM - 13, &walls[i])); }
    pool_give(pool, &walls[0]);
    pool_give(pool, &walls[2]);
    pool_give(pool, &walls[4]);
    assert_true(pool_take(pool, ROOM - 13 - 7, &walls[4])); /* leaves 3, 3 and 8 pages */
    assert_true(put(5));
    assert_int_equal(held[5].n_runs, 3);
    assert_true(is_covered(5) && paged_is_right(file.at, 0, file.bytes));
    /* A part of a place, over a part of the piece. */
    drop(5);
    assert_true(pool_take(pool, PIECE, &held[5]));
    fill(5);
    assert_true(cover_put(&file, at_piece(5) + 7 * PAGE, 5, pool, &held[5], 7));
    assert_true(paged_is_right(file.at, 0, file.bytes));
    assert_false(cover_put(&file, at_piece(5) + 7 * PAGE, 7, pool, &held[5], 7)); /* the place is shorter */
    assert_true(paged_is_right(file.at, 0, file.bytes));
    drop(5);
    assert_true(paged_is_right(file.at, 0, file.bytes));
}

/* ---- other threads ---- */

static bool stops;
static unsigned wrong, looks;

static void * look(void * unused) {
    (void) unused;
    unsigned seed = 1;
    while (!__atomic_load_n(&stops, __ATOMIC_RELAXED)) {
        const uint64_t offset = (uint64_t) rand_r(&seed) % (PAGES * PAGE / 64) * 64;
        if (!paged_is_right(file.at + offset, offset, 64)) { __atomic_fetch_add(&wrong, 1, __ATOMIC_RELAXED); }
        __atomic_fetch_add(&looks, 1, __ATOMIC_RELAXED);
    }
    return NULL;
}

/* Mappings of the program that come and go. */
static void * churn(void * unused) {
    (void) unused;
    while (!__atomic_load_n(&stops, __ATOMIC_RELAXED)) {
        char * at = mmap(NULL, 64 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        *(volatile char *) at = 1;
        munmap(at, 64 * PAGE);
    }
    return NULL;
}

static void test_threads_see_only_the_file(void ** state) {
    (void) state;
    pthread_t threads[3];
    unsigned seed = 13;
    stops = false;
    wrong = looks = 0;
    for (int i = 0; i < 3; i++) { assert_int_equal(pthread_create(&threads[i], NULL, i ? look : churn, NULL), 0); }
    for (unsigned i = 0; i < STEPS || __atomic_load_n(&looks, __ATOMIC_RELAXED) < 1000; i++) { step(&seed); }
    __atomic_store_n(&stops, true, __ATOMIC_RELAXED);
    for (int i = 0; i < 3; i++) { pthread_join(threads[i], NULL); }
    assert_int_equal(wrong, 0);
}

/* ---- forks ---- */

static void test_fork_with_a_handler(void ** state) {
    (void) state;
    for (unsigned p = 0; p < PIECES / 2; p++) { put(p); }
    const pid_t child = fork();
    if (child == 0) { _exit(!(cover_remove_all(&file) && paged_is_right(file.at, 0, file.bytes))); }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_true(is_covered(0));
}

static void * step_on(void * unused) {
    (void) unused;
    unsigned seed = 7;
    while (!__atomic_load_n(&stops, __ATOMIC_RELAXED)) { step(&seed); }
    return NULL;
}

/* Waits until the parent has used the memory for other pieces, then looks: through a pipe, as there are holes. Makes
 * system calls only. Returns how many pages are wrong. */
static int look_as_child(int go, const int * ends) {
    static char page[PAGE];
    int bad = 0;
    if (syscall(SYS_read, go, page, 1) != 0) { return 1; }
    for (uint64_t p = 0; p < PAGES; p++) {
        if (syscall(SYS_write, ends[1], file.at + p * PAGE, PAGE) != PAGE) { continue; }
        if (syscall(SYS_read, ends[0], page, PAGE) != PAGE || !paged_is_right(page, p * PAGE, PAGE)) { bad++; }
    }
    return bad > 100 ? 100 : bad;
}

/* It comes at any time, also while a piece is being covered. */
static void test_fork_without_a_handler(void ** state) {
    (void) state;
    pthread_t thread;
    stops = false;
    assert_int_equal(pthread_create(&thread, NULL, step_on, NULL), 0);
    int bad = 0;
    for (int i = 0; i < FORKS; i++) {
        int go[2], ends[2], status;
        assert_true(pipe(go) == 0 && pipe(ends) == 0);
        usleep((useconds_t) (i % 7 * 50));
        const pid_t child = (pid_t) syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
        if (child == 0) {
            syscall(SYS_close, go[1]);
            syscall(SYS_exit_group, look_as_child(go[0], ends));
        }
        usleep(5000);
        close(go[1]);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        bad += WEXITSTATUS(status);
        close(go[0]);
        close(ends[0]);
        close(ends[1]);
    }
    __atomic_store_n(&stops, true, __ATOMIC_RELAXED);
    pthread_join(thread, NULL);
    assert_int_equal(bad, 0);
}

/* The program unmaps its model, and maps something else there. */
static void test_model_that_goes(void ** state) {
    (void) state;
    assert_true(put(1) && put(2));
    munmap(file.at, file.bytes / 2);
    char * other =
        mmap(file.at, file.bytes / 2, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    memset(other, 5, file.bytes / 2);
    spoil(1);
    pool_give(pool, &held[1]);
    assert_int_equal(other[PIECE * PAGE], 5);
    assert_true(put(PIECES - 1) && is_covered(PIECES - 1));
    assert_int_equal(other[PIECE * PAGE], 5);
}

int main(void) {
    if (sysconf(_SC_PAGESIZE) != PAGE) { return 77; }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_covers_and_uncovers, begin, end),
        cmocka_unit_test_setup_teardown(test_threads_see_only_the_file, begin, end),
        cmocka_unit_test_setup_teardown(test_fork_with_a_handler, begin, end),
        cmocka_unit_test_setup_teardown(test_fork_without_a_handler, begin, end),
        cmocka_unit_test_setup_teardown(test_model_that_goes, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
