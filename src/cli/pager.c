/* SPDX-License-Identifier: MIT */
#include "cli/pager.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/places.h"
#include "cli/terminal.h"

static struct {
    pid_t pid; /* 0: there is none */
    int terminal;
    unsigned width;
} pager;

static const int ending[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE };
enum { ENDING = sizeof ending / sizeof ending[0] };

bool pager_is_open(void) {
    return pager.pid != 0;
}

unsigned pager_width(void) {
    return pager.width;
}

/* A command for the shell, or NULL. */
static const char * program(void) {
    static const char usual[] = "less";
    char path[PATH_MAX];
    const char * named = getenv("TAT_PAGER");
    const char * terminal = getenv("TERM");
    if (!named) { named = getenv("PAGER"); }
    if (!terminal || !*terminal || strcmp(terminal, "dumb") == 0) { return NULL; }
    if (!named) { return places_program(usual, path) == 0 ? usual : NULL; }
    return *named && strcmp(named, "cat") != 0 ? named : NULL;
}

static void wait_for_end(void) {
    while (waitpid(pager.pid, NULL, 0) < 0 && errno == EINTR) {}
}

/* Calls nothing that a signal may not. */
static void end(int number) {
    close(STDOUT_FILENO);
    wait_for_end();
    if (number == SIGPIPE) { _exit(0); } /* the user has seen enough */
    signal(number, SIG_DFL);
    raise(number);
}

static _Noreturn void run(const char * command, int from) {
    for (int i = 0; i < ENDING; i++) { signal(ending[i], SIG_DFL); }
    dup2(from, STDIN_FILENO);
    setenv("LESS", "FRX", 0); /* as git does: end at once if it fits the screen, let colours through, leave it there */
    setenv("LV", "-c", 0);
    execl("/bin/sh", "sh", "-c", command, (char *) NULL);
    _exit(127);
}

void pager_open(void) {
    int ends[2];
    const char * command = pager.pid || !isatty(STDOUT_FILENO) ? NULL : program();
    if (!command || pipe2(ends, O_CLOEXEC) != 0) { return; }
    const unsigned width = terminal_width(stdout);
    const int terminal = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    fflush(stdout);
    const pid_t pid = terminal >= 0 ? fork() : -1;
    if (pid == 0) { run(command, ends[0]); }
    close(ends[0]);
    if (pid > 0 && dup2(ends[1], STDOUT_FILENO) >= 0) {
        pager.pid = pid;
        pager.terminal = terminal;
        pager.width = width;
        for (int i = 0; i < ENDING; i++) { signal(ending[i], end); }
    } else if (terminal >= 0) {
        close(terminal);
    }
    close(ends[1]);
}

int pager_close(void) {
    if (!pager.pid) { return 0; }
    const bool failed = fflush(stdout) != 0 || ferror(stdout);
    const int why = errno;
    dup2(pager.terminal, STDOUT_FILENO); /* the end of what the pager reads */
    close(pager.terminal);
    wait_for_end();
    for (int i = 0; i < ENDING; i++) { signal(ending[i], SIG_DFL); }
    pager.pid = 0;
    errno = why;
    return failed ? -1 : 0;
}
