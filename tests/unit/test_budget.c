/* SPDX-License-Identifier: MIT
 *
 * How much memory there is for pieces of a model, by what a made-up /proc and cgroup hierarchy say.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "made_tree.h"
#include "manage/address_space.h"
#include "manage/budget.h"
#include "manage/growth.h"

enum { MIB = 1 << 20, MACHINE = 8000 };

static const char * proc(void) {
    static char path[128];
    snprintf(path, sizeof path, "%s/proc", made_root);
    return path;
}

static void make_number(const char * path, uint64_t number) {
    char text[32];
    snprintf(text, sizeof text, "%" PRIu64 "\n", number);
    made_file(path, text);
}

/* MiB of the machine that are available, and of the process's own memory. */
static void make_rest(uint64_t available, uint64_t anonymous) {
    char text[256];
    snprintf(text, sizeof text, "MemTotal: %d kB\nMemFree: 1 kB\nMemAvailable: %" PRIu64 " kB\n", MACHINE << 10,
             available << 10);
    made_file("proc/meminfo", text);
    snprintf(text, sizeof text, "VmRSS:\t99999 kB\nRssAnon:\t%" PRIu64 " kB\nRssFile:\t7 kB\nVmPTE:\t1024 kB\n",
             anonymous << 10);
    made_file("proc/self/status", text);
    made_file("proc/self/smaps", "");
}

/* A group of version 1, MiB: its limit, what is charged, and how much of that is page cache. */
static void make_group_1(const char * folder, uint64_t limit, uint64_t charged, uint64_t cache) {
    char path[128], text[256];
    snprintf(path, sizeof path, "%s/memory.limit_in_bytes", folder);
    make_number(path, limit * MIB);
    snprintf(path, sizeof path, "%s/memory.usage_in_bytes", folder);
    make_number(path, charged * MIB);
    snprintf(path, sizeof path, "%s/memory.stat", folder);
    snprintf(text, sizeof text, "active_file 1\ntotal_active_file %" PRIu64 "\ntotal_inactive_file %d\n",
             (cache - 1) * MIB, MIB);
    made_file(path, text);
}

static void make_group_2(const char * folder, const char * most, const char * high, uint64_t charged, uint64_t cache) {
    char path[128], text[256];
    snprintf(path, sizeof path, "%s/memory.max", folder);
    made_file(path, most);
    snprintf(path, sizeof path, "%s/memory.high", folder);
    made_file(path, high);
    snprintf(path, sizeof path, "%s/memory.current", folder);
    make_number(path, charged * MIB);
    snprintf(path, sizeof path, "%s/memory.stat", folder);
    snprintf(text, sizeof text, "anon 5\ninactive_anon 7\ninactive_file %" PRIu64 "\nactive_file 0\n", cache * MIB);
    made_file(path, text);
}

/* MiB. */
static struct budget assert_budget(uint64_t asked, uint64_t pool, uint64_t limit, uint64_t used) {
    struct budget b;
    assert_true(budget_find_in(proc(), asked * MIB, pool * MIB, 0, &b));
    assert_int_equal(b.limit, limit * MIB);
    assert_int_equal(b.used, used * MIB);
    assert_true(b.reserve >= 4 * MIB && b.reserve < limit * MIB / 10 + 16 * MIB);
    const uint64_t needed = b.used + b.growth + b.files + b.reserve;
    assert_int_equal(b.pool, b.limit > needed ? b.limit - needed : 0);
    return b;
}

static void what_was_asked_for_holds_for_the_process(void ** state) {
    (void) state;
    made_proc("4:memory:/a\n", "cgroup", "/", ",memory");
    make_rest(6000, 49);
    assert_budget(200, 0, 200, 50); /* and a MiB of page tables */
    assert_budget(200, 30, 200, 50);
    assert_true(budget_left_in(proc(), 200 * MIB) == 0); /* the pool counts as it was granted */
    make_rest(6000, 52);
    assert_true(budget_left_in(proc(), 200 * MIB) == -3 * MIB);
    assert_budget(40, 0, 40, 53); /* has too much already */
    assert_true(budget_left_in(proc(), 40 * MIB) < -13 * MIB);
}

static void without_a_limit_the_machine_is_one(void ** state) {
    (void) state;
    made_file("proc/self/mountinfo", "24 1 0:22 / /proc rw - proc proc rw\n");
    make_rest(6000, 50);
    assert_budget(0, 0, MACHINE, MACHINE - 6000);
    assert_budget(0, 500, MACHINE, MACHINE - 6500);
    assert_budget(7000, 0, MACHINE, MACHINE - 6000); /* others have taken too much for that */
    assert_budget(5000, 0, 5000, 51);
}

static void of_the_groups_above_the_tightest_counts(void ** state) {
    (void) state;
    made_proc("4:cpu,memory:/a/b\n", "cgroup", "/", ",cpu,memory");
    make_rest(6000, 50);
    make_group_1("cg/a/b", 300, 100, 30);
    assert_budget(0, 0, 300, 70);
    assert_budget(0, 20, 300, 50); /* of which 20 were the pool's */
    make_group_1("cg/a", 400, 390, 200);
    assert_budget(0, 20, 400, 170); /* others are in it too */
    make_group_1("cg", (uint64_t) INT64_MAX / MIB, 390, 200);
    assert_budget(0, 20, 400, 170);
    assert_budget(150, 20, 150, 51); /* less than is left in both */
    assert_budget(400, 20, 400, 170);
}

static void version_2_slows_down_before_its_limit(void ** state) {
    (void) state;
    made_proc("0::/x.scope\n", "cgroup2", "/", "");
    make_rest(6000, 50);
    make_group_2("cg/x.scope", "max\n", "max\n", 100, 30);
    assert_budget(0, 0, MACHINE, MACHINE - 6000);
    make_group_2("cg/x.scope", "314572800\n", "max\n", 100, 30);
    assert_budget(0, 0, 300, 70);
    make_group_2("cg/x.scope", "314572800\n", "262144000\n", 100, 30);
    assert_budget(0, 0, 250, 70);
    made_proc("0::/../y\n", "cgroup2", "/", ""); /* outside: the container's own */
    make_group_2("cg", "209715200\n", "max\n", 100, 30);
    assert_budget(0, 0, 200, 70);
}

/* The pool takes what it was granted, then buffers are filled, and then somebody tightens the limit. */
static void what_is_left_is_read_anew(void ** state) {
    (void) state;
    made_proc("4:memory:/a\n", "cgroup", "/", ",memory");
    make_rest(6000, 50);
    make_group_1("cg/a", 300, 100, 30);
    const struct budget b = assert_budget(0, 0, 300, 70);
    make_group_1("cg/a", 300, 100 + b.pool / MIB, 30);
    const int64_t left = budget_left_in(proc(), 0);
    assert_true(left >= 0 && left < MIB);
    make_group_1("cg/a", 300, 105 + b.pool / MIB, 30);
    assert_true(budget_left_in(proc(), 0) == left - 5 * MIB);
    make_group_1("cg/a", 200, 105 + b.pool / MIB, 30);
    assert_true(budget_left_in(proc(), 0) == left - 105 * MIB);
}

/* Pieces that are page cache themselves: 20 MiB besides are anybody's. */
static void a_pool_of_page_cache_counts_as_used(void ** state) {
    (void) state;
    made_proc("4:memory:/a\n", "cgroup", "/", ",memory");
    make_rest(6000, 50);
    make_group_1("cg/a", 300, 200, 120);
    assert_budget(0, 0, 300, 80);
    const int64_t left = budget_left_in(proc(), 0);
    budget_count_cached(100 * MIB);
    const int64_t then = budget_left_in(proc(), 0);
    budget_count_cached(500 * MIB); /* no more than there is */
    const int64_t all = budget_left_in(proc(), 0);
    budget_count_cached(0);
    assert_true(left - then == 100 * MIB);
    assert_true(left - all == 120 * MIB);
}

static void of_files_the_model_does_not_count(void ** state) {
    struct address_space_files files;
    char line[128], name[6000];
    (void) state;
    memset(name, 'a', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    made_file("proc/self/smaps", "10000000-10800000 r-xp 00000000 fe:00 7 /lib/libx.so\nRss: 5120 kB\nAnonymous: 0 kB\n"
                                 "11000000-11001000 rw-p 00800000 fe:00 7 /lib/libx.so\nRss: 4 kB\nAnonymous: 4 kB\n"
                                 "12000000-12001000 r--p 00800000 fe:00 7 /lib/libx.so\nRss: 4 kB\nAnonymous: 0 kB\n"
                                 "20000000-30000000 r--s 00000000 fe:00 8 /m.gguf\nRss: 99999 kB\nAnonymous: 0 kB\n"
                                 "30000000-30010000 r--s 10000000 fe:00 8 /m.gguf\nRss: 64 kB\nAnonymous: 0 kB\n"
                                 "40000000-80000000 r-xp 00000000 fe:00 9 /lib/big.so\nRss: 2048 kB\nAnonymous: 0 kB\n"
                                 "90000000-90100000 rwxs 00000000 00:01 9 /memfd:x (deleted)\nRss: 1024 kB\n"
                                 "a0000000-a0001000 r-xp 00000000 00:00 0 [vdso]\nRss: 4 kB\n");
    assert_true(address_space_files(proc(), &files));
    assert_int_equal(files.code, 7 * MIB);
    assert_int_equal(files.other, (4 + 99999 + 64) << 10);
    /* a name longer than a line is read at once */
    snprintf(line, sizeof line, "%s/proc/self/smaps", made_root);
    FILE * smaps = fopen(line, "w");
    assert_non_null(smaps);
    fprintf(smaps, "10000000-10800000 r-xp 00000000 fe:00 7 /%s\nRss: 1024 kB\nAnonymous: 0 kB\n", name);
    fclose(smaps);
    assert_true(address_space_files(proc(), &files));
    assert_int_equal(files.code, MIB);
}

static void numbers_beyond_all_bounds_do_no_harm(void ** state) {
    struct budget b;
    (void) state;
    made_proc("4:memory:/a\n", "cgroup", "/", ",memory");
    assert_false(budget_find_in(proc(), 200 * MIB, 0, 0, &b)); /* nothing is known */
    assert_true(budget_left_in(proc(), 0) == INT64_MAX);
    make_rest(6000, 50);
    make_group_1("cg/a", 300, 100, 30);
    made_file("cg/a/memory.stat", "total_active_file 18446744073709551615\ntotal_inactive_file");
    assert_budget(0, UINT64_MAX / MIB, 300, 0);
    assert_true(budget_left_in(proc(), 0) > 250 * MIB);
    made_file("cg/a/memory.stat", "total_active_file -5\n\n\n");
    made_file("cg/a/memory.usage_in_bytes", "18446744073709551615\n");
    assert_true(budget_find_in(proc(), 0, 0, 0, &b));
    made_file("proc/self/smaps",
              "x\n-\nRss: 5 kB\n10-20\nffffffffffffffff-0 rwxp 0 0 0 /\nRss: 99999999999999999999 kB");
    assert_true(budget_find_in(proc(), 1, 0, 0, &b));
    assert_int_equal(b.pool, 0);
}

/* What page cache is charged is the model's first: plain mmap would have all that code does not take. */
static void plain_mmap_has_all_that_is_not_needed_for_something_else(void ** state) {
    (void) state;
    made_proc("4:memory:/a\n", "cgroup", "/", ",memory");
    make_rest(6000, 50);
    make_group_1("cg/a", 300, 290, 240);
    made_file("proc/self/smaps", "10000000-20000000 r-xp 00000000 fe:00 7 /lib/x.so\nRss: 20480 kB\nAnonymous: 0 kB\n"
                                 "20000000-30000000 r--s 00000000 fe:00 8 /m.gguf\nRss: 235520 kB\nAnonymous: 0 kB\n");
    const struct budget b = assert_budget(0, 0, 300, 50);
    assert_int_equal(b.code, 10 * MIB);
    assert_int_equal(budget_plain(&b), 240 * MIB); /* the reserve is not taken off */
    assert_true(b.pool < 230 * MIB);
}

/* Libraries that others have in memory already do not count towards a cgroup's limit. */
static void of_files_no_more_counts_than_is_charged(void ** state) {
    (void) state;
    made_proc("4:memory:/a\n", "cgroup", "/", ",memory");
    make_rest(6000, 50);
    make_group_1("cg/a", 300, 100, 5);
    made_file("proc/self/smaps", "10000000-20000000 r-xp 00000000 fe:00 7 /lib/x.so\nRss: 20480 kB\nAnonymous: 0 kB\n");
    assert_int_equal(assert_budget(0, 0, 300, 95).files, 5 * MIB);
    make_group_1("cg/a", 300, 100, 50);
    assert_int_equal(assert_budget(0, 0, 300, 50).files, 20 * MIB);
}

/* Here, in this process. */
static void of_ranges_what_is_not_in_memory_counts(void ** state) {
    enum { BYTES = 64 * MIB, PAGE = 4096 };
    (void) state;
    char * buffer = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(buffer, MAP_FAILED);
    assert_int_equal(madvise(buffer, BYTES, MADV_NOHUGEPAGE), 0);
    const uintptr_t at = (uintptr_t) buffer;
    struct memory_range ranges[] = {
        { at + 3 * MIB, at + 5 * MIB }, /* in any order, and over each other */
        { at + 1, at + PAGE - 1 },        { at + MIB, at + 4 * MIB }, { at + MIB, at + MIB + 7 },
        { at + 40 * MIB, at + 60 * MIB }, { PAGE, 16 * PAGE }
    }; /* where nothing is */
    assert_int_equal(growth_of(ranges, 6), PAGE + 24 * MIB);
    memset(buffer + 2 * MIB, 1, MIB);
    memset(buffer + 59 * MIB, 1, 2 * MIB);
    assert_int_equal(growth_of(ranges, 6), PAGE + 22 * MIB);
    assert_int_equal(growth_of(NULL, 0), 0);
    munmap(buffer, BYTES);
}

static void growth_is_taken_off_and_what_was_granted_counts(void ** state) {
    struct budget without, with;
    (void) state;
    made_file("proc/self/mountinfo", "");
    make_rest(6000, 50);
    assert_true(budget_find_in(proc(), 200 * MIB, 0, 0, &without) &&
                budget_find_in(proc(), 200 * MIB, 0, 30 * MIB, &with));
    assert_int_equal(without.pool - with.pool, 30 * MIB);
    budget_grant(100 * MIB);
    const int64_t left = budget_left_in(proc(), 200 * MIB);
    budget_grant(110 * MIB);
    assert_int_equal(left - budget_left_in(proc(), 200 * MIB), 10 * MIB);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_asked_for_holds_for_the_process, made_begin, made_end),
        cmocka_unit_test_setup_teardown(without_a_limit_the_machine_is_one, made_begin, made_end),
        cmocka_unit_test_setup_teardown(of_the_groups_above_the_tightest_counts, made_begin, made_end),
        cmocka_unit_test_setup_teardown(version_2_slows_down_before_its_limit, made_begin, made_end),
        cmocka_unit_test_setup_teardown(what_is_left_is_read_anew, made_begin, made_end),
        cmocka_unit_test_setup_teardown(a_pool_of_page_cache_counts_as_used, made_begin, made_end),
        cmocka_unit_test_setup_teardown(of_files_the_model_does_not_count, made_begin, made_end),
        cmocka_unit_test_setup_teardown(growth_is_taken_off_and_what_was_granted_counts, made_begin, made_end),
        cmocka_unit_test_setup_teardown(numbers_beyond_all_bounds_do_no_harm, made_begin, made_end),
        cmocka_unit_test_setup_teardown(of_files_no_more_counts_than_is_charged, made_begin, made_end),
        cmocka_unit_test_setup_teardown(plain_mmap_has_all_that_is_not_needed_for_something_else, made_begin, made_end),
        cmocka_unit_test(of_ranges_what_is_not_in_memory_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
