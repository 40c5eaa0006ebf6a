/* SPDX-License-Identifier: MIT
 *
 * What tat run says of the lines that the library in the program writes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/run_report.h"

static void assert_says(const char * line, const char * words) {
    char * text = NULL;
    size_t size;
    FILE * out = open_memstream(&text, &size);
    assert_non_null(out);
    assert_int_equal(run_report_print(line, "> ", out), words != NULL);
    fclose(out);
    assert_string_equal(text, words ? words : "");
    free(text);
}

#define MIB "048576"

static void what_is_managed(void ** state) {
    (void) state;
    assert_says("begin pinned=1" MIB " streamed=5" MIB " ring=2" MIB " cached=0 cache=0 left=1" MIB " limit=9" MIB
                " reader=threads direct=0 predicted=0",
                "> managing 6.81 MiB of weights in 8.63 MiB of memory: 1.00 MiB pinned, 4.81 MiB streamed through 1.95 "
                "MiB, 1.00 MiB left to the kernel; read by threads through the page cache, as the file system has no "
                "O_DIRECT\n");
    assert_says("begin cached=9" MIB " cache=5" MIB " reader=uring",
                "> managing 8.63 MiB of weights: 4.81 MiB for 8.63 MiB of experts; read by io_uring\n");
}

static void figures_that_are_not_there_are_left_out(void ** state) {
    (void) state;
    assert_says("begin ", "> managing 0 B of weights\n");
    assert_says("end ", "");
    assert_says("end tokens=0 ns=0 wait_ns=0 read=0 wanted=0 held=0 checked=0 wrong=0 handed_back=0 predicted=0", "");
    assert_says("end tokens=20 ns=1000000000", "> delivered 20.0 tokens/s\n");
    assert_says("end tokens=20 ns=2000000000 predicted=21000", "> predicted 21.0 tokens/s, delivered 10.0\n");
    assert_says("end predicted=21000 read=2" MIB, "> read 1.95 MiB\n");
    assert_says("end read=2" MIB " tokens=2", "> read 1.95 MiB (1000 KiB a token)\n");
    assert_says("end wanted=200 held=50", "> 25.0 % of expert bytes were in memory\n");
    assert_says("end ns=1000 wait_ns=0", "> waited for the disk 0.0 % of the time\n");
}

static void what_went_wrong(void ** state) {
    (void) state;
    assert_says("end checked=1 wrong=0", "> 1 piece compared with the file: no difference\n");
    assert_says("end checked=1200 wrong=2", "> WRONG: 2 of 1,200 pieces differed from the file\n");
    assert_says("end read=1" MIB " handed_back=1 errors=1",
                "> read 1.00 MiB; the kernel took over before the end\n"
                "> 1 piece could not be read or mapped and was left to the kernel\n");
    assert_says("end errors=7", "> 7 pieces could not be read or mapped and were left to the kernel\n");
}

static void other_lines_say_nothing(void ** state) {
    (void) state;
    assert_says("", NULL);
    assert_says("begin", NULL);
    assert_says("ends now", NULL);
    assert_says("note\tx", NULL);
    assert_says("note a\x1b[0m\tb", "> a?[0m?b\n");
    assert_says("begin pinned=18446744073709551615 left=18446744073709551615 xlimit=5 limit",
                "> managing 16.0 EiB of weights: 16.0 EiB pinned, 16.0 EiB left to the kernel\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_managed),
        cmocka_unit_test(figures_that_are_not_there_are_left_out),
        cmocka_unit_test(what_went_wrong),
        cmocka_unit_test(other_lines_say_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
