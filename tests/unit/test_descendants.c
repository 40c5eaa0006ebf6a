/* SPDX-License-Identifier: MIT
 *
 * The environment of a process that replaces itself all the time: it holds what it held from the beginning, or nothing
 * for a moment, but never only the half that was read before.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/descendants.h"

enum { VARIABLES = 100, LENGTH = 1000, LOOKS = 5000 };

static char variables[VARIABLES][LENGTH + 1];

/* More than one page, with what is looked for at the end. */
static char ** large_environment(void) {
    static char told[] = "TAT_RUN_DIR=/somewhere/traces/run";
    static char * environment[VARIABLES + 2];
    for (int i = 0; i < VARIABLES; i++) {
        memset(variables[i], 'x', LENGTH);
        variables[i][0] = 'A';
        variables[i][1] = '=';
        environment[i] = variables[i];
    }
    environment[VARIABLES] = told;
    return environment;
}

static pid_t start(char ** arguments, char ** environment) {
    const pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execve("/proc/self/exe", arguments, environment);
        _exit(127);
    }
    assert_true(pid > 0);
    return pid;
}

static void end(pid_t pid) {
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static void replaces_itself(void ** state) {
    (void) state;
    char *again[] = { "test_descendants", "again", NULL };
    const pid_t pid = start(again, large_environment());
    bool was_seen = false;
    int without = 0;
    for (int i = 0; i < LOOKS || !was_seen; i++) {
        const enum environment told = descendant_environment(pid, "TAT_RUN_DIR", "/traces/run");
        assert_int_not_equal(told, ENVIRONMENT_UNSEEN);
        was_seen |= told == ENVIRONMENT_WITH;
        without += was_seen && told == ENVIRONMENT_WITHOUT; /* at first it is this program, which was not told */
        assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);   /* it goes on */
    }
    end(pid);
    assert_int_equal(without, 0);
}

static void tells_apart(void ** state) {
    (void) state;
    char *wait[] = { "test_descendants", "wait", NULL }, *none[] = { NULL };
    const pid_t with = start(wait, large_environment()), without = start(wait, none);
    while (descendant_environment(with, "TAT_RUN_DIR", "/traces/run") != ENVIRONMENT_WITH) {}
    assert_int_equal(descendant_environment(with, "TAT_RUN_DIR", "/traces/other"), ENVIRONMENT_WITHOUT);
    assert_int_equal(descendant_environment(with, "RUN_DIR", "/traces/run"), ENVIRONMENT_WITHOUT);
    while (descendant_environment(without, "TAT_RUN_DIR", "") != ENVIRONMENT_EMPTY) {}
    end(with);
    end(without);
    assert_int_equal(descendant_environment(with, "TAT_RUN_DIR", ""), ENVIRONMENT_EMPTY);
}

int main(int argc, char ** argv, char ** environment) {
    if (argc > 1 && strcmp(argv[1], "again") == 0) {
        execve("/proc/self/exe", argv, environment);
        return 127;
    }
    while (argc > 1) { pause(); }
    const struct CMUnitTest tests[] = { cmocka_unit_test(replaces_itself), cmocka_unit_test(tells_apart) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
