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

/* Of its first word. Where the shell would do more than look for that, it is taken to be there. */
static bool is_there(const char * command) {
    char word[PATH_MAX], path[PATH_MAX];
    const size_t length = strcspn(command, " \t");
    if (command[strcspn(command, "\"'\\$`|&;<>(){}*?[]~=")] || length >= sizeof word) { return true; }
    memcpy(word, command, length);
    word[length] = '\0';
    return places_program(word, path) == 0;
}

/* A command for the shell, or NULL: nobody wants one, or it is not there, and what is printed must not go to nobody. */
static const char * program(void) {
    static const char usual[] = "less";
    char path[PATH_MAX];
    const char * named = getenv("TAT_PAGER");
    const char * terminal = getenv("TERM");
    if (!named) { named = getenv("PAGER"); }
    if (!terminal || !*terminal || strcmp(terminal, "dumb") == 0) { return NULL; }
    if (!named) { return places_program(usual, path) == 0 ? usual : NULL; }
    return *named && strcmp(named, "cat") != 0 && is_there(named) ? named : NULL;
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

static _Noreturn void run(const char * command, int from, const sigset_t * mask) {
    for (int i = 0; i < ENDING; i++) { signal(ending[i], SIG_DFL); }
    sigprocmask(SIG_SETMASK, mask, NULL);
    dup2(from, STDIN_FILENO);
    dup2(pager.terminal, STDOUT_FILENO);
    setenv("LESS", "FRX", 0); /* as git does: end at once if it fits the screen, let colours through, leave it there */
    setenv("LV", "-c", 0);
    execl("/bin/sh", "sh", "-c", command, (char *) NULL);
    _exit(127);
}

/* Starts the pager, which reads `from`. A signal that comes meanwhile waits until we know whom to wait for. */
static pid_t start(const char * command, int from) {
    sigset_t blocked, before;
    sigemptyset(&blocked);
    for (int i = 0; i < ENDING; i++) { sigaddset(&blocked, ending[i]); }
    sigprocmask(SIG_BLOCK, &blocked, &before);
    const pid_t pid = fork();
    if (pid == 0) { run(command, from, &before); }
    if (pid > 0) {
        pager.pid = pid;
        for (int i = 0; i < ENDING; i++) { signal(ending[i], end); }
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
    return pid;
}

void pager_open(void) {
    int ends[2];
    const char * command = pager.pid || !isatty(STDOUT_FILENO) ? NULL : program();
    if (!command || pipe2(ends, O_CLOEXEC) != 0) { return; }
    fflush(stdout);
    pager.width = terminal_width(stdout);
    pager.terminal = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    const bool turned = pager.terminal >= 0 && dup2(ends[1], STDOUT_FILENO) >= 0;
    close(ends[1]); /* now standard output alone holds it, so the pager sees its end */
    if (!turned || start(command, ends[0]) < 0) {
        if (turned) { dup2(pager.terminal, STDOUT_FILENO); }
        if (pager.terminal >= 0) { close(pager.terminal); }
    }
    close(ends[0]);
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
