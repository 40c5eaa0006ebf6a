/* SPDX-License-Identifier: MIT
 *
 * A system that says no: loaded before the agent, it stands in for libc's functions. REFUSE holds pairs of a function
 * and an error's number, as "fallocate64=1 pthread_create=11". "later=28" is for writing, once much was written;
 * "short=1" takes half of what is to be written.
 */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

int fallocate64(int fd, int mode, off_t from, off_t bytes);
ssize_t pwritev64(int fd, const struct iovec * parts, int count, off_t at);

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

/* A host may have many, as under a profiler, and its handlers may do anything. */
static bool takes_signals(void) {
    sigset_t blocked;
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    return !sigismember(&blocked, SIGALRM);
}

int fallocate64(int fd, int mode, off_t from, off_t bytes) {
    int (*real)(int, int, off_t, off_t);
    errno = refused("fallocate64");
    if (errno) { return -1; }
    find("fallocate64", &real);
    return real(fd, mode, from, bytes);
}

ssize_t pwritev64(int fd, const struct iovec * parts, int count, off_t at) {
    enum { MUCH = 200000 };
    ssize_t (*real)(int, const struct iovec *, int, off_t);
    errno = at > MUCH ? refused("later") : refused("pwritev64");
    if (!errno && refused("signal") && takes_signals()) { errno = EIO; }
    if (errno) { return -1; }
    find("pwritev64", &real);
    if (!refused("short") || (count == 1 && parts[0].iov_len < 2)) { return real(fd, parts, count, at); }
    return real(fd, &(struct iovec){ parts[0].iov_base, (parts[0].iov_len + 1) / 2 }, 1, at);
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

int pthread_create(pthread_t * restrict thread, const pthread_attr_t * restrict attributes, void * (*run)(void *),
                   void * restrict data) {
    int (*real)(pthread_t *, const pthread_attr_t *, void * (*) (void *), void *);
    /* The host's own threads have no attributes. */
    const int error = attributes ? refused("pthread_create") : 0;
    if (error) { return error; }
    find("pthread_create", &real);
    return real(thread, attributes, run, data);
}
