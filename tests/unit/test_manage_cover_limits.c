/* SPDX-License-Identifier: MIT
 *
 * What cannot be covered or uncovered, and what is there then: the file's bytes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "covered_file.h"

static unsigned refuse_doubling; /* 1: the next one, and so on; 0: none */
static bool refuses_late;

/* The kernel, if it had too many mappings; or one before Linux 6.17, whose limit of address space is exceeded. */
void * __real_mremap(void * from, size_t old_bytes, size_t bytes, int flags, void * to);
void * __wrap_mremap(void * from, size_t old_bytes, size_t bytes, int flags, void * to);

void * __wrap_mremap(void * from, size_t old_bytes, size_t bytes, int flags, void * to) {
    if (refuse_doubling && --refuse_doubling == 0) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    if (refuses_late) {
        munmap(to, bytes);
        errno = ENOMEM;
        return MAP_FAILED;
    }
    return __real_mremap(from, old_bytes, bytes, flags, to);
}

static void test_refusals(void ** state) {
    (void) state;
    assert_true(put(3));
    struct pool_place parts = { .run = { { 20, 6 }, { 40, 7 } }, .n_runs = 2 };
    held[4] = parts;
    fill(4);
    refuse_doubling = 2; /* the second run; what it was to cover is the file again */
    assert_false(cover_put(&file, at_piece(4), PIECE, pool, &parts, 0));
    assert_int_equal(errno, ENOMEM);
    assert_true(paged_is_right(file.at, 0, file.bytes));
    refuse_doubling = 1; /* comes back by the descriptor */
    assert_true(cover_remove(&file, at_piece(4), PIECE));
    spoil(4);
    held[4].n_runs = 0;
    assert_true(paged_is_right(file.at, 0, file.bytes));

    /* Neither way: the descriptor is another file's meanwhile. */
    const int other = paged_file(PAGE, NULL), right = dup(file.fd);
    assert_int_equal(dup2(other, file.fd), file.fd);
    refuse_doubling = 1;
    assert_false(cover_remove(&file, at_piece(3), PIECE));
    assert_true(is_covered(3) && paged_is_right(file.at, 0, file.bytes));
    assert_int_equal(dup2(right, file.fd), file.fd);
    close(right);
    close(other);
}

/* All that the system allows, for real; what is covered can be uncovered even so. */
static void test_no_more_mappings(void ** state) {
    (void) state;
    enum { MOST = 70000 };
    unsigned most = 0;
    FILE * f = fopen("/proc/sys/vm/max_map_count", "re");
    const bool known = f && fscanf(f, "%u", &most) == 1;
    if (f) { fclose(f); }
    if (!known || most > MOST) {
        print_message("# needs a vm.max_map_count that can be reached\n"); /* scripts/test.sh reads it */
        skip();
    }
    for (unsigned p = 0; p < 4; p++) { assert_true(put(2 * p)); }
    char * many = mmap(NULL, 2ul * MOST * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_ptr_not_equal(many, MAP_FAILED);
    size_t i = 1;
    while (i < 2ul * MOST && mprotect(many + i * PAGE, PAGE, PROT_READ) == 0) { i += 2; }
    const bool is_full = i < 2ul * MOST;
    const bool covers = pool_take(pool, PIECE, &held[9]) && cover_put(&file, at_piece(9), PIECE, pool, &held[9], 0);
    const bool right = paged_is_right(file.at, 0, file.bytes);
    const bool uncovers = cover_remove(&file, at_piece(2), PIECE);
    const bool all = cover_remove_all(&file);
    munmap(many, 2ul * MOST * PAGE);
    assert_true(is_full && right && uncovers && all);
    assert_false(covers);
}

/* The program lowers its limit of address space below what it uses. Nothing is looked at before the limit is back,
 * since libc may want some. */
static void test_no_more_address_space(void ** state) {
    (void) state;
    struct rlimit before, least;
    assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
    for (unsigned p = 0; p < 4; p++) { assert_true(put(2 * p)); }
    assert_true(pool_take(pool, PIECE, &held[9]));
    least = (struct rlimit){ PAGE, before.rlim_max };
    assert_int_equal(setrlimit(RLIMIT_AS, &least), 0);
    refuses_late = true;
    const bool covers = cover_put(&file, at_piece(9), PIECE, pool, &held[9], 0);
    const bool uncovers = cover_remove(&file, at_piece(2), PIECE);
    const bool all = cover_remove_all(&file);
    refuses_late = false;
    assert_int_equal(setrlimit(RLIMIT_AS, &before), 0);
    assert_true(paged_is_right(file.at, 0, file.bytes));
    assert_true(!covers && !uncovers && !all && is_covered(2));
}

static void test_refuses_what_it_cannot_cover(void ** state) {
    (void) state;
    struct mapped_file private = file, writable = file;
    private.is_shared = false;
    writable.protection = PROT_READ | PROT_WRITE;
    assert_false(cover_begin(&private));
    assert_int_equal(errno, ENOTSUP);
    assert_false(cover_begin(&writable));
    if (syscall(SYS_mlock, file.at + PAGE, PAGE) == 0) { /* AddressSanitizer's mlock locks nothing */
        struct mapped_file locked = file;
        locked.again = NULL;
        assert_false(cover_begin(&locked));
        assert_null(locked.again);
        munlock(file.at + PAGE, PAGE);
    }
}

int main(void) {
    if (sysconf(_SC_PAGESIZE) != PAGE) { return 77; }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_refusals, begin, end),
        cmocka_unit_test_setup_teardown(test_no_more_mappings, begin, end),
        cmocka_unit_test_setup_teardown(test_no_more_address_space, begin, end),
        cmocka_unit_test_setup_teardown(test_refuses_what_it_cannot_cover, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
