/* SPDX-License-Identifier: MIT
 *
 * The union of ranges, space by space.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "analysis/ranges.h"

enum { SPACES = 8 };

struct found {
    uint64_t bytes[SPACES], calls;
};

static void keep(uint64_t space, uint64_t bytes, void * user) {
    struct found * found = user;
    assert_true(space < SPACES);
    assert_int_equal(found->bytes[space], 0);
    found->bytes[space] = bytes;
    found->calls++;
}

static struct found each_of(const struct range * range, size_t count) {
    struct ranges set = { 0 };
    struct found found = { 0 };
    for (size_t i = 0; i < count; i++) { ranges_add(&set, range[i]); }
    ranges_each(&set, keep, &found);
    assert_false(set.failed);
    assert_null(set.slot);
    assert_int_equal(ranges_total(&set), 0); /* the set is empty afterwards */
    return found;
}
#define EACH_OF(...)                                                                                                   \
    each_of((const struct range[]){ __VA_ARGS__ }, sizeof((const struct range[]){ __VA_ARGS__ }) / sizeof(struct range))

static void nothing(void ** state) {
    (void) state;
    assert_int_equal(each_of(NULL, 0).calls, 0);
    /* A range without bytes, and one without runs. */
    assert_int_equal(EACH_OF({ 1, 10, 0, 0, 1 }, { 1, 10, 5, 0, 0 }).calls, 0);
}

static void overlaps_count_once(void ** state) {
    (void) state;
    const struct found found = EACH_OF({ 1, 0, 100, 0, 1 }, { 1, 50, 100, 0, 1 }, { 1, 60, 10, 0, 1 },
                                       { 1, 150, 10, 0, 1 }, { 1, 200, 1, 0, 1 }, { 1, 0, 100, 0, 1 });
    assert_int_equal(found.calls, 1);
    assert_int_equal(found.bytes[1], 161);
}

static void spaces_never_meet(void ** state) {
    (void) state;
    const struct found found = EACH_OF({ 3, 0, 10, 0, 1 }, { 0, 5, 10, 0, 1 }, { 3, 5, 10, 0, 1 }, { 7, 0, 1, 0, 1 });
    assert_int_equal(found.calls, 3);
    assert_int_equal(found.bytes[0], 10);
    assert_int_equal(found.bytes[3], 15);
    assert_int_equal(found.bytes[7], 1);
}

static void runs_lie_apart(void ** state) {
    (void) state;
    /* 4 of every 16 bytes; then ranges that fill a gap, touch one, and lie across two. */
    const struct found found =
        EACH_OF({ 2, 0, 4, 16, 10 }, { 2, 4, 12, 0, 1 }, { 2, 36, 2, 0, 1 }, { 2, 50, 20, 0, 1 });
    assert_int_equal(found.bytes[2], 40 + 12 + 2 + 20 - 2 - 4);
    /* Runs that overlap each other. */
    assert_int_equal(EACH_OF({ 2, 0, 10, 5, 4 }).bytes[2], 25);
}

static void many(void ** state) {
    (void) state;
    struct ranges set = { 0 };
    for (int twice = 0; twice < 2; twice++) {
        for (uint64_t i = 0; i < 100000; i++) {
            ranges_add(&set, (struct range){ i % 3, i * 7 % 100000 * 8, 8, 0, 1 });
        }
    }
    assert_int_equal(ranges_total(&set), 800000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing),
        cmocka_unit_test(overlaps_count_once),
        cmocka_unit_test(spaces_never_meet),
        cmocka_unit_test(runs_lie_apart),
        cmocka_unit_test(many),
    };
    return cmocka_run_group_tests_name("ranges", tests, NULL, NULL);
}
