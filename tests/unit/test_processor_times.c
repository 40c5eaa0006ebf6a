/* SPDX-License-Identifier: MIT
 *
 * What /proc/stat says of all processors.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "system/processor_times.h"

static void sums_are_of_the_first_line(void ** state) {
    (void) state;
    struct processor_times t;
    const uint64_t tick = 1000000000 / (uint64_t) sysconf(_SC_CLK_TCK);
    assert_true(
        processor_times_read("cpu  1 20 300 4000 50000 600000 7000000 80000000 5 6\ncpu0 1 1 1 1 1 1 1 1\n", &t));
    assert_int_equal(t.busy_ns, (1 + 20 + 300 + 600000 + 7000000) * tick);
    assert_int_equal(t.idle_ns, (4000 + 50000) * tick);
    assert_int_equal(t.stolen_ns, 80000000 * tick);
}

/* Other systems have a file of that name, too. */
static void what_it_does_not_say_is_not_known(void ** state) {
    (void) state;
    static const char * const texts[] = { "", "cpu0 1 2 3 4 5 6 7 8\n", "cpu ", "cpu  1 2 3 4\n1 2 3 4\n",
                                          "cpu  1 2 x 4 5 6 7 8\n" };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct processor_times t = { 1, 1, 1 };
        assert_false(processor_times_read(texts[i], &t));
        assert_int_equal(t.busy_ns + t.idle_ns + t.stolen_ns, 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_are_of_the_first_line),
        cmocka_unit_test(what_it_does_not_say_is_not_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
