/* SPDX-License-Identifier: MIT */
#include "leftover/reaper.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { DEEPEST = 16 };

static int remove_below(const char * folder, int depth) {
    if (rmdir(folder) == 0 || errno == ENOENT) { return 0; }
    DIR * entries = depth < DEEPEST ? opendir(folder) : NULL;
    for (const struct dirent * entry; entries && (entry = readdir(entries));) {
        char path[PATH_MAX];
        if (entry->d_type != DT_DIR || entry->d_name[0] == '.') { continue; }
        if (snprintf(path, sizeof path, "%s/%s", folder, entry->d_name) < PATH_MAX) { remove_below(path, depth + 1); }
    }
    if (entries) { closedir(entries); }
    return rmdir(folder) == 0 || errno == ENOENT ? 0 : -1;
}

int reaper_remove(const struct reaped * what) {
    return remove_below(what->folder, what->is_nested ? 0 : DEEPEST);
}

/* ---- the process ---- */

static void close_all_but(int kept, int also) {
    DIR * fds = opendir("/proc/self/fd");
    for (const struct dirent * entry; fds && (entry = readdir(fds));) {
        const int fd = atoi(entry->d_name);
        if (entry->d_name[0] != '.' && fd != kept && fd != also && fd != dirfd(fds)) { close(fd); }
    }
    if (fds) { closedir(fds); }
}

static void nap(long ms) {
    const struct timespec pause = { ms / 1000, ms % 1000 * 1000000L };
    nanosleep(&pause, NULL);
}

/* Until one of a cgroup's processes has ended, or for some time where that cannot be told. */
static void wait_for_one(const char * folder) {
    enum { SOME_MS = 100, MOST_MS = 5000 };
    char path[PATH_MAX + 16];
    int pid = 0;
    snprintf(path, sizeof path, "%s/cgroup.procs", folder);
    FILE * file = fopen(path, "re");
    if (file && fscanf(file, "%d", &pid) != 1) { pid = 0; }
    if (file) { fclose(file); }
#ifdef SYS_pidfd_open
    struct pollfd process = { .fd = pid > 0 ? (int) syscall(SYS_pidfd_open, pid, 0) : -1, .events = POLLIN };
    if (process.fd >= 0) {
        poll(&process, 1, MOST_MS);
        close(process.fd);
        return;
    }
#endif
    nap(SOME_MS);
}

static _Noreturn void reap(const struct reaped * what, int owner) {
    sigset_t all;
    char byte;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    setsid();
    prctl(PR_SET_NAME, "tat-reaper");
    close_all_but(owner, what->kept);
    if (chdir("/") != 0) { /* then the folder stays in use */
    }
    while (read(owner, &byte, 1) > 0) {}
    while (reaper_remove(what) != 0 && errno == EBUSY) { wait_for_one(what->folder); }
    _exit(0);
}

int reaper_start(const struct reaped * what, struct reaper * reaper) {
    int owner[2];
    if (pipe2(owner, O_CLOEXEC) != 0) { return -1; }
    reaper->pid = fork();
    if (reaper->pid == 0) {
        close(owner[1]);
        reap(what, owner[0]);
    }
    const int why = errno;
    close(owner[0]);
    reaper->owner = owner[1];
    if (reaper->pid > 0) { return 0; }
    close(owner[1]);
    errno = why;
    return -1;
}

void reaper_release(const struct reaper * reaper, bool is_removed) {
    close(reaper->owner);
    while (is_removed && waitpid(reaper->pid, NULL, 0) < 0 && errno == EINTR) {}
}
