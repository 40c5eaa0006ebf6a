/* SPDX-License-Identifier: MIT */
#include "cli/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const int passed_on[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGTSTP, SIGCONT };

enum { GO = 1 };

/* The child's exec reports failure through a pipe that success closes. It waits at `gate` until the parent says GO: if
 * that was killed meanwhile, or thought better of it, there is no command. */
static _Noreturn void become(const char * path, char ** argv, const sigset_t * mask, const struct child_watch * watch,
                             int report, int gate) {
    char word = 0;
    while (read(gate, &word, 1) < 0 && errno == EINTR) {}
    if (word != GO) { _exit(127); }
    int why = watch->prepare ? watch->prepare(watch->state) : 0;
    if (why == 0) {
        sigprocmask(SIG_SETMASK, mask, NULL);
        execvp(path, argv); /* has a slash; as shells do, it gives a script without #! to sh */
        why = errno;
    }
    if (write(report, &why, sizeof why) < 0) { /* then the status has to do */
    }
    _exit(127);
}

static int open_pipes(int report[2], int gate[2]) {
    if (pipe2(report, O_CLOEXEC) != 0) { return errno; }
    if (pipe2(gate, O_CLOEXEC) == 0) { return 0; }
    const int why = errno;
    close(report[0]);
    close(report[1]);
    return why;
}

static int start(const char * path, char ** argv, const sigset_t * mask, const struct child_watch * watch,
                 pid_t * child) {
    int report[2], gate[2];
    int why = open_pipes(report, gate);
    if (why) { return why; }
    fflush(NULL);
    *child = fork();
    if (*child == 0) {
        close(gate[1]);
        become(path, argv, mask, watch, report[1], gate[0]);
    }
    if (*child < 0) { why = errno; }
    if (*child > 0 && watch->starts && !watch->starts(*child, watch->state)) { why = ECANCELED; }
    const char word = GO;
    if (why == 0 && write(gate[1], &word, 1) < 0) { why = errno; }
    close(gate[0]); /* not before: the child may be dead, and writing would be a SIGPIPE */
    close(gate[1]);
    close(report[1]);
    ssize_t n = 0;
    while (why == 0 && (n = read(report[0], &why, sizeof why)) < 0 && errno == EINTR) {}
    close(report[0]);
    if (*child > 0 && why) { waitpid(*child, NULL, 0); }
    return why;
}

struct following {
    pid_t child; /* 0: it has ended */
    int wait_status;
    bool stopped;
    bool told_to_stop; /* by SIGTSTP, which the child may still obey */
};

/* The terminal, and the child itself by kill(0), send to the whole process group. */
static bool reached_child(const siginfo_t * info, pid_t child) {
    return (info->si_code == SI_KERNEL || info->si_pid == child) && getpgid(child) == getpgrp();
}

/* A shell made us a job of its own, and waits for its stops too. */
static bool is_job(void) {
    const pid_t parent = getppid();
    const int terminal = open("/dev/tty", O_RDONLY | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    if (terminal >= 0) { close(terminal); }
    return terminal >= 0 && getsid(parent) == getsid(0) && getpgid(parent) != getpgrp();
}

/* So that the shell sees a stopped job. Nothing happens where no shell could continue it. */
static void stop(struct following * f) {
    sigset_t stops;
    f->told_to_stop = false;
    sigemptyset(&stops);
    sigaddset(&stops, SIGTSTP);
    raise(SIGTSTP);
    sigprocmask(SIG_UNBLOCK, &stops, NULL);
    sigprocmask(SIG_BLOCK, &stops, NULL); /* SIGCONT, which came since, is passed on like others */
}

/* Only the terminal's stops are ours too: who stops the child alone continues the child alone. */
static void stop_alike(struct following * f, int number) {
    sigset_t pending;
    if (number != SIGTSTP && number != SIGTTIN && number != SIGTTOU) { return; }
    sigpending(&pending);
    if (f->told_to_stop || sigismember(&pending, SIGTSTP) || is_job()) { stop(f); }
}

static void take_states(struct following * f) {
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG | WUNTRACED | WCONTINUED)) > 0;) {
        if (pid != f->child) { continue; } /* its parent has ended */
        f->stopped = WIFSTOPPED(status);
        if (WIFSTOPPED(status)) {
            stop_alike(f, WSTOPSIG(status));
        } else if (!WIFCONTINUED(status)) {
            f->wait_status = status;
            f->child = 0;
        }
    }
}

/* False: it tells us to wait no longer. */
static bool obey(struct following * f, int number, const siginfo_t * info) {
    if (number == SIGCHLD) { return true; }
    if (f->child && !reached_child(info, f->child)) { kill(f->child, number); }
    if (number == SIGTSTP && (!f->child || f->stopped)) { stop(f); }
    f->told_to_stop |= number == SIGTSTP && f->child && !f->stopped;
    return f->child || number == SIGTSTP || number == SIGCONT || number == SIGUSR1 || number == SIGUSR2;
}

enum { FIRST_MS = 50, LAST_MS = 5000 };

static bool wait_for(struct following * f, const sigset_t * awaited, const struct child_watch * watch) {
    bool looks = true, ended = false;
    for (int ms = FIRST_MS;; ms = ms < LAST_MS / 2 ? 2 * ms : LAST_MS) {
        take_states(f);
        if (!f->child && !ended) {
            ended = looks = true;
            ms = FIRST_MS;
        }
        if (ended && !watch->goes_on(watch->state)) { return true; }
        const struct timespec pause = { ms / 1000, ms % 1000 * 1000000L };
        siginfo_t info;
        const int number = sigtimedwait(awaited, &info, looks ? &pause : NULL);
        if (number > 0 && !obey(f, number, &info)) { return false; }
        if (number < 0 && errno == EAGAIN && !ended) { looks = watch->look(watch->state); }
    }
}

int child_run(const char * path, char ** argv, const struct child_watch * watch, int * wait_status, bool * left) {
    sigset_t awaited, before;
    struct following f = { 0 };
    sigemptyset(&awaited);
    sigaddset(&awaited, SIGCHLD);
    for (size_t i = 0; i < sizeof passed_on / sizeof *passed_on; i++) { sigaddset(&awaited, passed_on[i]); }
    signal(SIGCHLD, SIG_DFL); /* ignored, the child's end would not be kept for us */
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    sigprocmask(SIG_BLOCK, &awaited, &before);
    const int why = start(path, argv, &before, watch, &f.child);
    *left = why == 0 && !wait_for(&f, &awaited, watch);
    *wait_status = f.wait_status;
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
