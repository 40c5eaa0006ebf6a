/* SPDX-License-Identifier: MIT */
#include "analysis/speed/speed.h"

enum limit verdict_of(const struct limits * l) {
    enum limit most = LIMIT_MEMORY;
    for (int i = 1; i < LIMITS; i++) {
        if (l->share[i] > l->share[most]) { most = (enum limit) i; }
    }
    return l->share[most] >= 0.5 ? most : LIMITS;
}

static double at_most_one(double share) {
    return share < 0 ? 0 : share > 1 ? 1 : share;
}

/* What was recorded; else where threads did not run though graphs were computed, and nobody else had their processors.
 * A thread that reads from disk stops all: the others spin at the barrier and count as running, so what is missing
 * stands for as many as there are. */
static double disk_share(const struct pace * p) {
    if (p->blocked_share >= 0) { return p->blocked_share; }
    if (p->missing < 0) { return -1; }
    const double others = p->others_share > 0 ? p->others_share : 0;
    return p->faults < 1 ? 0 : at_most_one((p->missing - others) * p->threads);
}

struct limits limits_of(const struct pace * p, const struct machine_roofs * r) {
    const double read = roofs_read(r, p->threads, (uint64_t) p->token_bytes);
    const double arithmetic = roofs_arithmetic(r, p->threads);
    const bool known = p->token_ns > 0;
    struct limits l;
    l.share[LIMIT_MEMORY] = known && read > 0 ? 1e9 * p->token_bytes / read / p->token_ns : -1;
    l.share[LIMIT_COMPUTE] = known && arithmetic > 0 ? 1e9 * p->token_flops / arithmetic / p->token_ns : -1;
    l.share[LIMIT_BARRIERS] = p->wait_share;
    l.share[LIMIT_DISK] = disk_share(p);
    l.share[LIMIT_OTHERS] = p->others_share;
    if (p->blocked_share >= 0 &&
        p->others_share > 1 - p->blocked_share) { /* who waits for the disk, waits for no one */
        l.share[LIMIT_OTHERS] = 1 - p->blocked_share;
    }
    return l;
}

double ceiling_of(const struct machine_roofs * r, uint32_t threads, double bytes, double flops) {
    const double read = roofs_read(r, threads, (uint64_t) bytes), arithmetic = roofs_arithmetic(r, threads);
    const double memory = read > 0 ? bytes / read : 0, compute = arithmetic > 0 ? flops / arithmetic : 0;
    const double seconds = memory > compute ? memory : compute;
    return seconds > 0 ? 1 / seconds : 0;
}
