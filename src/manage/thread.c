/* SPDX-License-Identifier: MIT */
#include "manage/thread.h"

#include <errno.h>
#include <link.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

void lock_init(pthread_mutex_t * lock) {
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ERRORCHECK);
    pthread_mutex_init(lock, &attributes);
    pthread_mutexattr_destroy(&attributes);
}

static int add_thread_local(struct dl_phdr_info * library, size_t size, void * sum) {
    (void) size;
    for (int i = 0; i < library->dlpi_phnum; i++) {
        const ElfW(Phdr) * part = &library->dlpi_phdr[i];
        if (part->p_type == PT_TLS) { *(size_t *) sum += part->p_memsz + part->p_align; }
    }
    return 0;
}

int thread_start(pthread_t * thread, void * (*run)(void *), void * argument) {
    size_t stack = 256 << 10;
    sigset_t all, before;
    pthread_attr_t attributes;
    dl_iterate_phdr(add_thread_local, &stack);
    sigfillset(&all);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, stack);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(thread, &attributes, run, argument);
    if (error == EINVAL) { error = pthread_create(thread, NULL, run, argument); }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return error;
}

void thread_be_prompt(void) {
    enum { SLICE_NS = 100000 }; /* the least that there is */
    struct scheduling s;
    if (syscall(SYS_sched_getattr, 0, &s, sizeof s, 0) != 0 || s.policy != SCHED_OTHER) { return; }
    s.slice = SLICE_NS;
    syscall(SYS_sched_setattr, 0, &s, 0);
}
