/* SPDX-License-Identifier: MIT
 *
 * A system that says no: loaded before the agent, it stands in for libc's functions. REFUSE holds pairs of a function
 * and an error's number, as "posix_fallocate64=1 madvise=22".
 */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

int posix_fallocate64(int fd, off_t from, off_t bytes);

/* 0: it is not refused. */
static int refused(const char * name) {
    const char * list = getenv("REFUSE");
    const char * at = list ? strstr(list, name) : NULL;
    return at && at[strlen(name)] == '=' ? atoi(at + strlen(name) + 1) : 0;
}

static void find(const char * name, void * function) {
    void * const symbol = dlsym(RTLD_NEXT, name);
    memcpy(function, &symbol, sizeof symbol);
}

/* Where a host has many, as under a profiler, one is put here, and some file systems give up. */
static bool takes_signals(void) {
    sigset_t blocked;
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    return !sigismember(&blocked, SIGALRM);
}

int posix_fallocate64(int fd, off_t from, off_t bytes) {
    int (*real)(int, off_t, off_t);
    const int error = refused("posix_fallocate64");
    if (error) { return error; }
    if (refused("signal") && takes_signals()) { return EINTR; }
    find("posix_fallocate64", &real);
    return real(fd, from, bytes);
}

/* Refuses once. */
int access(const char * path, int mode) {
    static int asked;
    int (*real)(const char *, int);
    errno = asked++ ? 0 : refused("access");
    if (errno) { return -1; }
    find("access", &real);
    return real(path, mode);
}

int madvise(void * address, size_t bytes, int advice) {
    int (*real)(void *, size_t, int);
    errno = refused("madvise");
    if (errno) { return -1; }
    find("madvise", &real);
    return real(address, bytes, advice);
}

int pthread_create(pthread_t * restrict thread, const pthread_attr_t * restrict attributes, void * (*run)(void *),
                   void * restrict data) {
    int (*real)(pthread_t *, const pthread_attr_t *, void * (*) (void *), void *);
    /* The host's own threads have no attributes. */
    const int error = attributes ? refused("pthread_create") : 0;
    if (error) { return error; }
    find("pthread_create", &real);
    return real(thread, attributes, run, data);
}
