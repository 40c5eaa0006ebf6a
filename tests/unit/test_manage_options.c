/* SPDX-License-Identifier: MIT
 *
 * What `tat run` and the library in the program tell each other: TAT_MANAGE, and the lines of the report.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "manage/options.h"
#include "manage/report.h"
#include "plan/placement.h"

enum { ALL = PLACE_MAY_PIN | PLACE_MAY_STREAM | PLACE_MAY_CACHE };

static struct manage_options of(const char * text) {
    struct manage_options options;
    assert_true(manage_options_read(text, &options));
    return options;
}

static void assert_defaults(const struct manage_options * o) {
    assert_int_equal(o->memory, 0);
    assert_int_equal(o->disk, 0);
    assert_int_equal(o->may, ALL);
    assert_int_equal(o->reader, READER_ANY);
    assert_int_equal(o->ahead, READ_INTO);
    assert_false(o->locks);
    assert_false(o->on_demand);
    assert_false(o->check);
    assert_false(o->no_gain);
    assert_int_equal(o->predicted, 0);
    assert_int_equal(o->foresee, FORESEE_ROUTER);
    assert_string_equal(o->report, "");
}

static void all_that_is_asked_for_is_understood(void ** state) {
    (void) state;
    struct manage_options o = of("memory=200000000;strategy=pin+cache;disk=1500000000;reader=threads;check=1;gain=0;"
                                 "predicted=12345;plain=99;report=/tmp/a b/=x");
    assert_int_equal(o.memory, 200000000);
    assert_int_equal(o.disk, 1500000000);
    assert_int_equal(o.may, PLACE_MAY_PIN | PLACE_MAY_CACHE);
    assert_int_equal(o.reader, READER_THREADS);
    assert_true(o.check);
    assert_true(o.no_gain);
    assert_int_equal(o.predicted, 12345);
    assert_int_equal(o.plain, 99);
    assert_string_equal(o.report, "/tmp/a b/=x");
    static const char * const methods[] = { "foresee=none", "foresee=router", "foresee=previous", "foresee=markov" };
    for (int i = 0; i < 4; i++) { assert_int_equal(of(methods[i]).foresee, i); }
    o = of(";memory=18446744073709551615;;reader=uring;strategy=stream;check=0");
    assert_true(o.memory == UINT64_MAX);
    assert_int_equal(o.reader, READER_URING);
    assert_int_equal(o.may, PLACE_MAY_STREAM);
    assert_false(o.check);
}

static void how_to_read_is_understood(void ** state) {
    static const struct {
        const char * text;
        unsigned may;
        enum read_how ahead;
        bool locks, on_demand;
    } asked[] = { { "strategy=lock", PLACE_MAY_PIN, READ_POPULATE, true, false },
                  { "strategy=pin+lock", PLACE_MAY_PIN, READ_POPULATE, true, false },
                  { "strategy=populate", ALL, READ_POPULATE, false, false },
                  { "strategy=willneed+lock", ALL, READ_WILLNEED, true, false },
                  { "strategy=stream+pread+cache", PLACE_MAY_STREAM | PLACE_MAY_CACHE, READ_THROUGH, false, false },
                  { "strategy=lock+willneed;strategy=pin", PLACE_MAY_PIN, READ_INTO, false, false },
                  { "strategy=pin+stream+demand", PLACE_MAY_PIN | PLACE_MAY_STREAM, READ_INTO, false, true },
                  { "strategy=demand;strategy=pin", PLACE_MAY_PIN, READ_INTO, false, false } };
    (void) state;
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
        const struct manage_options o = of(asked[i].text);
        assert_int_equal(o.may, asked[i].may);
        assert_int_equal(o.ahead, asked[i].ahead);
        assert_int_equal(o.locks, asked[i].locks);
        assert_int_equal(o.on_demand, asked[i].on_demand);
    }
}

static void nobody_asked_for_anything(void ** state) {
    struct manage_options o;
    (void) state;
    assert_false(manage_options_read(NULL, &o));
    assert_defaults(&o);
    assert_false(manage_options_read("", &o));
    assert_defaults(&o);
}

static void what_is_not_understood_is_ignored(void ** state) {
    static const char * const texts[] = {
        "memory=",
        "memory",
        "memory=-1",
        "memory=2GB",
        "memory=18446744073709551616",
        "memory= 1",
        "strategy=",
        "strategy=pin+",
        "strategy=pin+fly",
        "foresee=",
        "foresee=stars",
        "strategy=pin stream",
        "strategy=+",
        "strategy=pread+willneed",
        "strategy=lock+stream",
        "reader=",
        "reader=Any",
        "reader=uringx",
        "check=2",
        "gain=2",
        "gain=",
        "predicted=1.5",
        "check=",
        "check=yes",
        "report=relative",
        "report=",
        "=",
        "=1",
        ";;;",
        "unknown=1",
        "\xff\n=\x01",
    };
    (void) state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct manage_options o = of(texts[i]);
        if (strcmp(texts[i], "strategy=pin+") == 0) { /* nothing is wrong with it */
            assert_int_equal(o.may, PLACE_MAY_PIN);
            o.may = ALL;
        }
        assert_defaults(&o);
        char both[128];
        snprintf(both, sizeof both, "%s;disk=7", texts[i]);
        assert_int_equal(of(both).disk, 7);
    }
    static char path[2 * PATH_MAX] = "report=/";
    memset(path + strlen(path), 'x', PATH_MAX - 2); /* as long as a path may be */
    assert_int_equal(strlen(of(path).report), PATH_MAX - 1);
    strcat(path, "x");
    assert_string_equal(of(path).report, "");
}

/* ---- the report ---- */

static char folder[64], pipe_path[128];
static int reader_fd;

static int make_pipe(void ** state) {
    (void) state;
    strcpy(folder, "/tmp/tat-report.XXXXXX");
    if (!mkdtemp(folder)) { return -1; }
    snprintf(pipe_path, sizeof pipe_path, "%s/report", folder);
    if (mkfifo(pipe_path, 0600) != 0) { return -1; }
    reader_fd = open(pipe_path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    return reader_fd >= 0 ? 0 : -1;
}

static int remove_pipe(void ** state) {
    (void) state;
    close(reader_fd);
    unlink(pipe_path);
    return rmdir(folder);
}

static char text[1 << 17];

static const char * take(void) {
    const ssize_t n = read(reader_fd, text, sizeof text - 1);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

static void lines_come_one_by_one(void ** state) {
    char expected[128];
    (void) state;
    errno = EDOM;
    manage_report(pipe_path, "begin pinned=1");
    manage_report(pipe_path, "note of\ntwo lines");
    assert_int_equal(errno, EDOM);
    const int pid = (int) getpid();
    snprintf(expected, sizeof expected, "%d begin pinned=1\n%d note of two lines\n", pid, pid);
    assert_string_equal(take(), expected);
}

static void a_long_line_is_cut(void ** state) {
    static char line[3 * PIPE_BUF];
    (void) state;
    memset(line, 'x', sizeof line - 1);
    manage_report(pipe_path, line);
    assert_int_equal(strlen(take()), PIPE_BUF);
    assert_int_equal(text[PIPE_BUF - 1], '\n');
}

/* Nobody reads: a writer must not wait, nor be killed. */
static void a_full_pipe_loses_lines(void ** state) {
    (void) state;
    for (int i = 0; i < 1 << 14; i++) { manage_report(pipe_path, "note again and again"); }
    size_t lines = 0;
    for (const char * at = take(); (at = strchr(at, '\n')); at++) { lines++; }
    assert_true(lines > 100);
    assert_int_equal(text[strlen(text) - 1], '\n');
}

static void what_is_no_pipe_stays_as_it_is(void ** state) {
    char path[128];
    struct stat status;
    (void) state;
    manage_report("", "note");
    manage_report("/nowhere/at/all", "note");
    snprintf(path, sizeof path, "%s/file", folder);
    close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    errno = EDOM;
    manage_report(path, "note");
    assert_int_equal(errno, EDOM);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_size, 0);
    unlink(path);
}

static void what_is_ignored_is_reported(void ** state) {
    char line[512];
    (void) state;
    snprintf(line, sizeof line, "memory=lots;speed=1;report=%s", pipe_path);
    of(line);
    assert_non_null(strstr(take(), "note ignored in TAT_MANAGE: memory=lots\n"));
    snprintf(line, sizeof line, "memory=5;report=%s", pipe_path);
    of(line);
    assert_string_equal(take(), "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_that_is_asked_for_is_understood),
        cmocka_unit_test(how_to_read_is_understood),
        cmocka_unit_test(nobody_asked_for_anything),
        cmocka_unit_test(what_is_not_understood_is_ignored),
        cmocka_unit_test_setup_teardown(lines_come_one_by_one, make_pipe, remove_pipe),
        cmocka_unit_test_setup_teardown(a_long_line_is_cut, make_pipe, remove_pipe),
        cmocka_unit_test_setup_teardown(a_full_pipe_loses_lines, make_pipe, remove_pipe),
        cmocka_unit_test_setup_teardown(what_is_no_pipe_stays_as_it_is, make_pipe, remove_pipe),
        cmocka_unit_test_setup_teardown(what_is_ignored_is_reported, make_pipe, remove_pipe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
