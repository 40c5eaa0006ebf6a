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

#include "cli/run_line.h"
#include "cli/run_words.h"

static void assert_says(const char * line, const char * words) {
    char * text = NULL;
    size_t size;
    FILE * out = open_memstream(&text, &size);
    json_t * o = run_line_read(1, line);
    assert_non_null(out);
    assert_int_equal(run_words_print(o, "> ", out), words != NULL);
    fclose(out);
    json_decref(o);
    assert_string_equal(text, words ? words : "");
    free(text);
}

#define MIB "048576"

static void what_is_managed(void ** state) {
    (void) state;
    assert_says("begin pinned=1" MIB " streamed=5" MIB " ring=2" MIB " cached=0 cache=0 left=1" MIB " limit=9" MIB
                " reader=threads direct=0 predicted=0",
                "> managing 6.81 MiB of weights in 8.63 MiB of memory: 1.00 MiB pinned, 4.81 MiB streamed through 1.95 "
                "MiB, 1.00 MiB left to the kernel, which reads them page by page: slower than without tat run; read by "
                "threads through the page cache, as the file system has no O_DIRECT\n");
    assert_says("begin cached=9" MIB " cache=5" MIB " reader=uring",
                "> managing 8.63 MiB of weights: 4.81 MiB for 8.63 MiB of experts; read by io_uring\n");
}

static void a_limit_is_recognised(void ** state) {
    (void) state;
    assert_says("begin pinned=40" MIB " left=1" MIB " limit=40000000 pool=20971520",
                "> managing 39.2 MiB of weights in 20.0 MiB of 38.1 MiB (40 MB): 38.2 MiB pinned, 1.00 MiB left to the "
                "kernel\n");
    assert_says("begin pinned=1" MIB " limit=3999997952",
                "> managing 1.00 MiB of weights in 3.73 GiB (4 GB) of memory: 1.00 MiB pinned\n");
    assert_says("begin pinned=1" MIB " limit=41943040",
                "> managing 1.00 MiB of weights in 40.0 MiB of memory: 1.00 MiB pinned\n");
}

static void figures_that_are_not_there_are_left_out(void ** state) {
    (void) state;
    assert_says(
        "begin pinned=1" MIB " reader=threads direct=0 ahead=pread locks=0 lockable=0",
        "> managing 1.00 MiB of weights: 1.00 MiB pinned; kept in the page cache, read by threads with pread\n");
    assert_says("begin pinned=1" MIB " reader=threads direct=0 ahead=willneed locks=1 lockable=65536",
                "> managing 1.00 MiB of weights: 1.00 MiB pinned; kept in the page cache, read by threads with "
                "MADV_WILLNEED; of what is pinned, no more than 64.0 KiB may be locked (RLIMIT_MEMLOCK, ulimit -l)\n");
    assert_says("begin pinned=1" MIB " reader=threads direct=0 ahead=populate locks=1 lockable=18446744073709551615",
                "> managing 1.00 MiB of weights: 1.00 MiB pinned; kept in the page cache, read by threads with "
                "MADV_POPULATE_READ; what is pinned is locked\n");
    assert_says("begin ", "> managing 0 B of weights\n");
    assert_says("end ", "");
    assert_says("end tokens=0 ns=0 wait_ns=0 read=0 wanted=0 held=0 checked=0 wrong=0 handed_back=0 predicted=0", "");
    assert_says("end tokens=20 ns=1000000000", "> delivered 20.0 tokens/s\n");
    assert_says("end tokens=20 ns=2000000000 predicted=21000", "> predicted 21.0 tokens/s, delivered 10.0\n");
    assert_says("end predicted=21000 read=2" MIB, "> read 1.95 MiB\n");
    assert_says("end read=2" MIB " tokens=2", "> read 1.95 MiB\n");
    assert_says("end read=2" MIB " tokens=2 token_read=1024", "> read 512 B a generated token (1.95 MiB in all)\n");
    assert_says("end tokens=20 ns=1000000000 locked=65536", "> delivered 20.0 tokens/s; 64.0 KiB locked\n");
    assert_says("end token_wanted=200 token_held=50 wanted=1", "> 25.0 % of expert bytes were in memory\n");
    assert_says("end ns=1000 wait_ns=0 majflt=99", "> waited 0.0 % of the time for what tat reads\n");
    assert_says("end ns=1000 wait_ns=5 majflt=500000",
                "> waited 0.5 % of the time for what tat reads; 500,000 page faults waited for the disk\n");
}

static void what_was_foreseen(void ** state) {
    (void) state;
    assert_says("end foreseen=0 foreseen_right=0 ahead_read=0 ahead_wasted=0 spared=0", "");
    assert_says(
        "end foreseen=200 foreseen_right=150 ahead_read=2" MIB " ahead_wasted=1024 spared=1024",
        "> 75.0 % of the experts that were foreseen came, of 1.95 MiB read ahead 1.00 KiB in vain, 1.00 KiB not "
        "read again\n");
    assert_says("end foreseen=200 foreseen_right=10 ahead_read=0 ahead_wasted=0 foreseen_not_to_read=150",
                "> 5.0 % of the experts that were foreseen came, 75.0 % of the guesses not read ahead as too few "
                "came\n");
    assert_says("end tokens=20 ns=1000000000 foreseen=10 foreseen_right=1",
                "> delivered 20.0 tokens/s; 10.0 % of the experts that were foreseen came\n");
}

static void what_went_wrong(void ** state) {
    (void) state;
    assert_says("end checked=1 wrong=0", "> 1 piece compared with the file: no difference\n");
    assert_says("end checked=1200 wrong=2", "> WRONG: 2 of 1,200 pieces differed from the file\n");
    assert_says("end read=1" MIB " handed_back=1 errors=1",
                "> stopped managing before the end; read 1.00 MiB\n"
                "> 1 piece could not be read or mapped and was left to the kernel\n");
    assert_says("end errors=7", "> 7 pieces could not be read or mapped and were left to the kernel\n");
}

static void how_much_memory_there_is(void ** state) {
    (void) state;
    assert_says("fits bytes=104857600",
                "> not managed: the model's 100 MiB of weights fit in memory, so there is nothing to gain\n");
    assert_says("short limit=40000000 left=1" MIB,
                "> not managed: the program itself needs all but 1.00 MiB of 38.1 MiB (40 MB), and a model takes at "
                "least 8.00 MiB: give it more memory, or a shorter context (llama.cpp's -c)\n");
    assert_says("less now=10485760 before=20971520 limit=5 limit_before=5",
                "> the program needs 10.0 MiB more: 10.0 MiB for the model, where there were 20.0 MiB\n");
    assert_says("less now=10485760 before=20971520 limit=31457280 limit_before=41943040",
                "> the limit is now 30.0 MiB: 10.0 MiB for the model, where there were 20.0 MiB\n");
    assert_says("handed_back managed=20500 plain=41000 tokens=32",
                "> stopped managing; the kernel's page cache takes over: the last 32 tokens were slower (20.5 "
                "tokens/s) than plain mmap would be (41.0)\n");
    assert_says(
        "handed_back left=1" MIB,
        "> stopped managing; the kernel's page cache takes over: only 1.00 MiB of memory is left for the model\n");
}

static void what_was_refused(void ** state) {
    (void) state;
    assert_says("refused errno=95",
                "> not managed: the model is locked in memory (mlock, mlockall), or its mapping is not "
                "one that tat can cover: leave out --mlock (Operation not supported)\n");
    assert_says("refused errno=2",
                "> not managed: the model's file cannot be opened again: keep it readable at its path (No such file "
                "or directory)\n");
    assert_says("refused errno=1",
                "> not managed: the kernel refused a call that tat needs (unshare, open, mmap, mremap or "
                "io_uring_setup): `tat doctor` tells more (Operation not permitted)\n");
}

/* What was delivered before and after are two figures. */
static void a_run_that_stopped_managing(void ** state) {
    (void) state;
    assert_says("end tokens=64 ns=3200000000 handed_back=1 after_tokens=200 after_ns=5000000000 predicted=21000",
                "> predicted 21.0 tokens/s, delivered 20.0 for 64 tokens, then stopped managing: 40.0 tokens/s for 200 "
                "more\n");
    assert_says("end tokens=64 ns=3200000000 handed_back=1 after_tokens=0 after_ns=0 read=1" MIB,
                "> delivered 20.0 tokens/s for 64 tokens, then stopped managing; read 1.00 MiB\n");
    assert_says("end tokens=0 handed_back=1 after_tokens=1200 after_ns=30000000000",
                "> stopped managing before the end: 40.0 tokens/s for 1,200 tokens\n");
}

/* Two threads on two processors for a second, and a disk that moved 100 MiB. */
static void what_others_took(void ** state) {
    (void) state;
#define SECOND                                                                                                         \
    "end tokens=20 ns=1000000000 threads=2 processors=2 machine_ns=1000000000 machine_disk_bytes=100" MIB " cpu_ns=1"  \
    "000000000 wait_ns="
    assert_says(SECOND "200000000 machine_busy_ns=1040000000 disk_bytes=99" MIB,
                "> delivered 20.0 tokens/s; waited 20.0 % of the time for what tat reads\n");
    assert_says(SECOND "200000000 machine_busy_ns=1840000000 disk_bytes=99" MIB,
                "> delivered 20.0 tokens/s; waited 20.0 % of the time for what tat reads; other programs took 0.84 of "
                "2 processors meanwhile\n");
    assert_says(SECOND "200000000 machine_busy_ns=1500000000 machine_stolen_ns=300000000 disk_bytes=60" MIB,
                "> delivered 20.0 tokens/s; waited 20.0 % of the time for what tat reads; other programs took 0.80 of "
                "2 processors and 40.0 % of what the disk moved meanwhile\n");
    assert_says(SECOND "2000000 disk_bytes=60" MIB,
                "> delivered 20.0 tokens/s; waited 0.2 % of the time for what tat reads\n");
#undef SECOND
}

static void other_lines_say_nothing(void ** state) {
    (void) state;
    assert_says("", NULL);
    assert_says("beginning pinned=1", NULL);
    assert_says("ends now", NULL);
    assert_says("note\tx", NULL);
    assert_says("note a\x1b[0m\tb", "> a?[0m?b\n");
    assert_says("begin pinned=18446744073709551615 left=18446744073709551615 xlimit=5 limit",
                "> managing 16.0 EiB of weights: 8.00 EiB pinned, 8.00 EiB left to the kernel, which reads them page "
                "by page: slower than without tat run\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_managed),
        cmocka_unit_test(a_limit_is_recognised),
        cmocka_unit_test(figures_that_are_not_there_are_left_out),
        cmocka_unit_test(what_was_foreseen),
        cmocka_unit_test(what_went_wrong),
        cmocka_unit_test(how_much_memory_there_is),
        cmocka_unit_test(a_run_that_stopped_managing),
        cmocka_unit_test(what_others_took),
        cmocka_unit_test(what_was_refused),
        cmocka_unit_test(other_lines_say_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
