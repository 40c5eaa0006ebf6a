/* SPDX-License-Identifier: MIT
 *
 * Time stamps of the hot path: the processor's counter if it runs at one rate in every frequency and sleep state, else
 * CLOCK_MONOTONIC in nanoseconds.
 */
#ifndef TAT_AGENT_CLOCK_H
#define TAT_AGENT_CLOCK_H

#include <stdint.h>
#include <time.h>

#include "tat/format.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <x86intrin.h>
#endif

/* Not inlined: where the clock is a counter, the callback must not save registers for this call. */
static __attribute__((noinline, unused)) uint64_t clock_monotonic_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t) now.tv_sec * 1000000000u + (uint64_t) now.tv_nsec;
}

/* The clock that this machine gets. */
static inline enum tat_clock clock_choose(void) {
#if defined(__x86_64__)
    unsigned a, b, c, d;
    return __get_cpuid(0x80000007, &a, &b, &c, &d) && (d & (1u << 8)) ? TAT_CLOCK_TSC : TAT_CLOCK_MONOTONIC;
#elif defined(__aarch64__)
    return TAT_CLOCK_CNTVCT;
#else
    return TAT_CLOCK_MONOTONIC;
#endif
}

static inline uint64_t clock_ticks(enum tat_clock clock) {
#if defined(__x86_64__)
    if (clock == TAT_CLOCK_TSC) { return __rdtsc(); }
#elif defined(__aarch64__)
    if (clock == TAT_CLOCK_CNTVCT) {
        uint64_t ticks;
        __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
        return ticks;
    }
#endif
    (void) clock;
    return clock_monotonic_ns();
}

#endif
