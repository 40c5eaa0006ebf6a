/* SPDX-License-Identifier: MIT */
#include "plan/disk_bursts.h"

struct disk_bursts disk_bursts_of_rate(double rate) {
    enum { BLOCK = 1 << 20 };
    struct disk_bursts b = { .n_blocks = rate > 0, .block = { BLOCK } };
    for (unsigned n = 0; n < BURST_READS && rate > 0; n++) { b.ns[0][n] = 1e9 * BLOCK * (n + 1) / rate; }
    return b;
}

static double burst_ns(const struct disk_bursts * b, unsigned n, double bytes) {
    if (b->n_blocks == 0) { return 0; }
    if (b->n_blocks == 1) { return b->ns[0][n] * bytes / (double) b->block[0]; }
    uint32_t i = 1;
    while (i + 1 < b->n_blocks && bytes > (double) b->block[i]) { i++; }
    if (bytes <= (double) b->block[0]) { return b->ns[0][n]; }
    const double below = (double) b->block[i - 1], above = (double) b->block[i];
    const double ns = b->ns[i - 1][n] + (b->ns[i][n] - b->ns[i - 1][n]) * (bytes - below) / (above - below);
    return ns > b->ns[0][n] ? ns : b->ns[0][n];
}

/* Lines of few and of many reads may cross beyond what was measured. */
double disk_burst_ns(const struct disk_bursts * b, unsigned reads, double bytes) {
    double most = 0;
    for (unsigned n = 0; n < reads; n++) {
        const double ns = burst_ns(b, n, bytes);
        if (ns > most) { most = ns; }
    }
    return most;
}
