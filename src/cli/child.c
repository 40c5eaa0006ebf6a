/* SPDX-License-Identifier: MIT */
#include "cli/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static const int passed_on[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGTSTP };

/* The child's exec reports failure through a pipe that success closes. */
static _Noreturn void become(const char * path, char ** argv, const sigset_t * mask, int report) {
    sigprocmask(SIG_SETMASK, mask, NULL);
    execvp(path, argv); /* has a slash; as shells do, it gives a script without #! to sh */
    const int why = errno;
    if (write(report, &why, sizeof why) < 0) { /* then the status has to do */
    }
    _exit(127);
}

static int start(const char * path, char ** argv, const sigset_t * mask, pid_t * child) {
    int report[2], why = 0;
    if (pipe2(report, O_CLOEXEC) != 0) { return errno; }
    fflush(NULL);
    *child = fork();
    if (*child == 0) { become(path, argv, mask, report[1]); }
    if (*child < 0) { why = errno; }
    close(report[1]);
    ssize_t n = 0;
    while (*child > 0 && (n = read(report[0], &why, sizeof why)) < 0 && errno == EINTR) {}
    close(report[0]);
    if (*child > 0 && why) { waitpid(*child, NULL, 0); }
    return why;
}

/* The terminal, and the child itself by kill(0), send to the whole process group. */
static bool reached_child(const siginfo_t * info, pid_t child) {
    return info->si_code == SI_KERNEL || info->si_pid == child;
}

/* True when the child has ended. */
static bool follow(pid_t child, int * wait_status) {
    int status;
    while (waitpid(child, &status, WNOHANG | WUNTRACED) == child) {
        if (!WIFSTOPPED(status)) {
            *wait_status = status;
            return true;
        }
        raise(SIGSTOP); /* so that the shell sees a stopped job */
        kill(child, SIGCONT);
    }
    return false;
}

static void wait_for(pid_t child, const sigset_t * awaited, int * wait_status) {
    while (!follow(child, wait_status)) {
        siginfo_t info;
        const int number = sigwaitinfo(awaited, &info);
        if (number > 0 && number != SIGCHLD && !reached_child(&info, child)) { kill(child, number); }
    }
}

int child_run(const char * path, char ** argv, int * wait_status) {
    sigset_t awaited, before;
    pid_t child = -1;
    sigemptyset(&awaited);
    sigaddset(&awaited, SIGCHLD);
    for (size_t i = 0; i < sizeof passed_on / sizeof *passed_on; i++) { sigaddset(&awaited, passed_on[i]); }
    signal(SIGCHLD, SIG_DFL); /* ignored, the child's end would not be kept for us */
    sigprocmask(SIG_BLOCK, &awaited, &before);
    const int why = start(path, argv, &before, &child);
    if (why == 0) { wait_for(child, &awaited, wait_status); }
    sigprocmask(SIG_SETMASK, &before, NULL);
    return why;
}

int child_status(int wait_status) {
    return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}

void child_end_alike(int wait_status) {
    fflush(NULL);
    if (WIFSIGNALED(wait_status)) {
        const struct rlimit no_core = { 0, 0 };
        sigset_t mask;
        setrlimit(RLIMIT_CORE, &no_core);
        signal(WTERMSIG(wait_status), SIG_DFL);
        sigemptyset(&mask);
        sigprocmask(SIG_SETMASK, &mask, NULL);
        raise(WTERMSIG(wait_status));
    }
    exit(child_status(wait_status));
}
