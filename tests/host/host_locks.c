/* SPDX-License-Identifier: MIT */
#include "host_locks.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const char * locked[2];

static void take(const char * path) {
    struct flock lock = { .l_type = F_WRLCK };
    const int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0 || fcntl(fd, F_SETLK, &lock) != 0) { abort(); }
    if (mmap(NULL, 1, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED) { abort(); }
}

void locks_take(const char * model, const char * other) {
    locked[0] = model;
    locked[1] = other;
    take(model);
    take(other);
}

/* Tries locks that conflict, since only another process sees these locks. */
static int is_held(const char * path) {
    struct flock lock = { .l_type = F_WRLCK };
    const int fd = open(path, O_RDWR | O_CLOEXEC);
    return fd < 0 || fcntl(fd, F_GETLK, &lock) != 0 ? 2 : lock.l_type != F_UNLCK;
}

void locks_print(void) {
    static const char * const state[] = { "gone", "held", "unknown" };
    if (!locked[0]) { return; }
    fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
        printf("model %s, other %s\n", state[is_held(locked[0])], state[is_held(locked[1])]);
        fflush(stdout);
        _exit(0);
    }
    if (child < 0 || waitpid(child, NULL, 0) != child) { abort(); }
}

void refuse_own_descriptors(void) {
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_close_range, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_unshare, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = { sizeof rules / sizeof rules[0], rules };
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
        abort();
    }
}
