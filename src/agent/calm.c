/* SPDX-License-Identifier: MIT */
#include "agent/calm.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

void calm_begin(struct calm * calm) {
    sigset_t all, pending;
    calm->error = errno;
    sigfillset(&all);
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &calm->cancelling);
    pthread_sigmask(SIG_SETMASK, &all, &calm->before);
    calm->too_large =
        sigismember(&calm->before, SIGXFSZ) == 1 && sigpending(&pending) == 0 && sigismember(&pending, SIGXFSZ) == 1;
}

void calm_end(const struct calm * calm) {
    pthread_sigmask(SIG_SETMASK, &calm->before, NULL);
    pthread_setcancelstate(calm->cancelling, NULL);
    errno = calm->error;
}

void calm_take_signal(const struct calm * calm, int error) {
    const struct timespec now = { 0 };
    sigset_t set;
    if (error != EFBIG || calm->too_large) { return; }
    sigemptyset(&set);
    sigaddset(&set, SIGXFSZ);
    while (sigtimedwait(&set, NULL, &now) < 0 && errno == EINTR) {}
}
