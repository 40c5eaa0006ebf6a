/* SPDX-License-Identifier: MIT
 *
 * A lock for cold paths, which the program's threads take. A thread that is cancelled while it holds a lock would never
 * release it, so cancellation waits until the unlock.
 */
#ifndef TAT_AGENT_COLD_LOCK_H
#define TAT_AGENT_COLD_LOCK_H

#include <pthread.h>

/* Returns the value to pass to cold_unlock. */
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
