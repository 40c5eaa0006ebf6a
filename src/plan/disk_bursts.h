/* SPDX-License-Identifier: MIT
 *
 * How long a disk takes for reads that begin together, when it was idle before. `tat doctor --disk` measures that. A
 * rate alone, of a disk that is always busy, would be too high: what a router has chosen is some reads, which end
 * before computing goes on.
 */
#ifndef TAT_PLAN_DISK_BURSTS_H
#define TAT_PLAN_DISK_BURSTS_H

#include <stdint.h>

enum { BURST_BLOCKS = 8, BURST_READS = 8 };

struct disk_bursts {
    uint32_t n_blocks;                    /* 0: nothing is known */
    uint64_t block[BURST_BLOCKS];         /* bytes of a read, ascending */
    double ns[BURST_BLOCKS][BURST_READS]; /* until the last of n + 1 reads has ended */
};

/* A disk that reads so many bytes a second, however it is asked. */
struct disk_bursts disk_bursts_of_rate(double rate);

/* Until the last of `reads` (from 1 to BURST_READS) has ended. Between two sizes that were measured, and above, as the
 * line through the nearest two has it; below the smallest, as that. */
double disk_burst_ns(const struct disk_bursts * bursts, unsigned reads, double bytes);

#endif
