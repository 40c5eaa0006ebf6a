/* SPDX-License-Identifier: MIT
 *
 * Threads of ours in other people's programs.
 */
#ifndef TAT_MANAGE_THREAD_H
#define TAT_MANAGE_THREAD_H

#include <pthread.h>
#include <stdint.h>

/* A lock that the program's threads take with their signals open: to a thread that holds it already, as its signal
 * handler finds it, locking says EDEADLK. */
void lock_init(pthread_mutex_t * lock);

/* A thread that takes none of the program's signals. Its stack is small, but the program's thread-local memory, which
 * lies on each stack, may be large. Returns 0 or an errno. */
int thread_start(pthread_t * thread, void * (*run)(void *), void * argument);

/* The kernel's struct sched_attr, which older headers lack. */
struct scheduling {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t slice, deadline, period; /* ns; before Linux 6.12, a slice is not kept */
};

/* The calling thread runs as soon as it wakes, for a short time, and not after what others have left of theirs. It gets
 * no more time than they. Linux 6.12; before that, nothing changes. */
void thread_be_prompt(void);

#endif
