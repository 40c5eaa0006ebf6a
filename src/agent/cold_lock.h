/* SPDX-License-Identifier: MIT
 *
 * A lock of cold paths, taken on the program's threads: one that is cancelled there would leave it to nobody.
 */
#ifndef TAT_AGENT_COLD_LOCK_H
#define TAT_AGENT_COLD_LOCK_H

#include <pthread.h>

/* Returns what cold_unlock is to be given. */
static inline int cold_lock(pthread_mutex_t * lock) {
    int before;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    pthread_mutex_lock(lock);
    return before;
}

static inline void cold_unlock(pthread_mutex_t * lock, int before) {
    pthread_mutex_unlock(lock);
    pthread_setcancelstate(before, NULL);
}

#endif
