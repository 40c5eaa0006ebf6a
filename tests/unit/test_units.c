/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "analysis/units.h"

static void test_bytes(void ** state) {
    (void) state;
    char text[UNITS_SIZE];
    assert_string_equal(format_bytes(text, 0), "0 B");
    assert_string_equal(format_bytes(text, 1023), "1023 B");
    assert_string_equal(format_bytes(text, 1024), "1.00 KiB");
    assert_string_equal(format_bytes(text, 96000 * 1024), "93.8 MiB");
    assert_string_equal(format_bytes(text, UINT64_MAX), "16.0 EiB");
}

/* A mean is rounded, not cut off. */
static void test_mean_bytes(void ** state) {
    (void) state;
    char text[UNITS_SIZE];
    assert_string_equal(format_mean_bytes(text, 297.95), "298 B");
    assert_string_equal(format_mean_bytes(text, 297.05), "297 B");
    assert_string_equal(format_mean_bytes(text, 1023.7), "1.00 KiB");
    assert_string_equal(format_mean_bytes(text, 0), "0 B");
    assert_string_equal(format_mean_bytes(text, -1), "0 B");
    assert_string_equal(format_mean_bytes(text, NAN), "0 B");
}

/* Halves are rounded as by hand: 2,575,000 ns are 2.575 ms, while a product with 1e-6 gives less. */
static void test_durations(void ** state) {
    (void) state;
    char text[UNITS_SIZE];
    assert_string_equal(format_duration(text, 999), "999 ns");
    assert_string_equal(format_duration(text, 999499), "999 us");
    assert_string_equal(format_duration(text, 999500), "1.00 ms");
    assert_string_equal(format_duration(text, 2575000), "2.58 ms");
    assert_string_equal(format_duration(text, 59999999999), "60.0 s");
    assert_string_equal(format_duration(text, 125000000000), "2 min 05 s");
    assert_string_equal(format_duration(text, 11220000000000), "3 h 07 min");
}

static void test_counts_and_shares(void ** state) {
    (void) state;
    char text[UNITS_SIZE];
    assert_string_equal(format_count(text, 0), "0");
    assert_string_equal(format_count(text, 180489), "180,489");
    assert_string_equal(format_count(text, UINT64_MAX), "18,446,744,073,709,551,615");
    assert_string_equal(format_share(text, 0), "0.0 %");
    assert_string_equal(format_share(text, 1e-9), "<0.1 %");
    assert_string_equal(format_share(text, 0.125), "12.5 %");
}

static void test_changes(void ** state) {
    (void) state;
    char text[UNITS_SIZE];
    assert_string_equal(format_change(text, 0.125), "+12.5 %");
    assert_string_equal(format_change(text, -0.5), "-50.0 %");
    assert_string_equal(format_change(text, 8.9), "+890.0 %");
    assert_string_equal(format_change(text, 9), "10 times");
    assert_string_equal(format_change(text, 23994.423), "24,000 times");
    assert_string_equal(format_change(text, -0.89), "-89.0 %");
    assert_string_equal(format_change(text, -0.95), "1/20");
    assert_string_equal(format_change(text, 1 / 23994.423 - 1), "1/24,000"); /* not -100.0 %: something is left */
    assert_string_equal(format_change(text, -1), "-100.0 %");
    assert_string_equal(format_change(text, -1.5), "-150.0 %");
    assert_string_equal(format_change(text, NAN), "+nan %");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes),     cmocka_unit_test(test_mean_bytes),
        cmocka_unit_test(test_durations), cmocka_unit_test(test_counts_and_shares),
        cmocka_unit_test(test_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
