/* SPDX-License-Identifier: MIT
 *
 * What all processors together have done since the machine was started. A header alone, so that the agent, which links
 * libc alone, goes by the same rule.
 */
#ifndef TAT_SYSTEM_PROCESSOR_TIMES_H
#define TAT_SYSTEM_PROCESSOR_TIMES_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct processor_times {
    uint64_t busy_ns;   /* with programs and the kernel */
    uint64_t idle_ns;   /* also while programs waited for a disk */
    uint64_t stolen_ns; /* given to other machines by the hypervisor */
};

/* `stat`: how /proc/stat begins. False, and zeros: it does not say. */
static inline bool processor_times_read(const char * stat, struct processor_times * times) {
    enum { USER, NICE, SYSTEM, IDLE, IOWAIT, IRQ, SOFTIRQ, STEAL, COUNT, NS_PER_S = 1000000000 };
    uint64_t ticks[COUNT];
    const long hertz = sysconf(_SC_CLK_TCK);
    *times = (struct processor_times){ 0 };
    if (hertz <= 0 || strncmp(stat, "cpu ", 4) != 0) { return false; }
    const char * at = stat + 4;
    for (int i = 0; i < COUNT; i++) {
        char * end;
        at += strspn(at, " ");
        ticks[i] = strtoull(at, &end, 10);
        if (end == at || *at == '\n') { return false; } /* a line has fewer in old kernels */
        at = end;
    }
    const uint64_t tick = NS_PER_S / (uint64_t) hertz;
    times->busy_ns = (ticks[USER] + ticks[NICE] + ticks[SYSTEM] + ticks[IRQ] + ticks[SOFTIRQ]) * tick;
    times->idle_ns = (ticks[IDLE] + ticks[IOWAIT]) * tick;
    times->stolen_ns = ticks[STEAL] * tick;
    return true;
}

#endif
