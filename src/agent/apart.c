/* SPDX-License-Identifier: MIT */
#include "agent/apart.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { STACK_BYTES = 1 << 20, UNSHARE = 1 << 1 /* CLOSE_RANGE_UNSHARE, which older headers lack */ };

struct job {
    apart_work * work;
    void * argument;
};

/* Kernels before 5.9 can only copy the table; some containers allow only one of the two calls. */
bool apart_leave_descriptors(void) {
#ifdef SYS_close_range
    if (syscall(SYS_close_range, (unsigned) STDERR_FILENO + 1, ~0u, (unsigned) UNSHARE) == 0) { return true; }
#endif
    return unshare(CLONE_FILES) == 0;
}

static void * run(void * data) {
    const struct job * job = data;
    job->work(job->argument, apart_leave_descriptors());
    return NULL;
}

bool apart_do(apart_work * work, void * argument) {
    struct job job = { work, argument };
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all, before;
    sigfillset(&all);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const bool runs = pthread_create(&thread, &attributes, run, &job) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return runs && pthread_join(thread, NULL) == 0;
}
