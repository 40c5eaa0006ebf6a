/* SPDX-License-Identifier: MIT
 *
 * Why a run is as fast as it is, and not faster. The parts: work.c counts what was computed (FLOP) and touched; roofs.c
 * knows what the machine can do, where `tat doctor --memory` measured it; verdict.c weighs the limits; speed.c puts it
 * in words.
 */
#ifndef TAT_ANALYSIS_SPEED_SPEED_H
#define TAT_ANALYSIS_SPEED_SPEED_H

#include "analysis/analysis.h"

/* ---- work.c ---- */

/* Floating-point operations of one execution of a node, by its shapes; doc/speed.md has the formulas. */
uint64_t flops_of(const struct tat_template * t, uint32_t node);

struct work {
    uint64_t flops;
    uint64_t memory_bytes;     /* of weights and state: what comes from memory */
    uint64_t activation_bytes; /* which the caches hold, as a rule */
};

/* ---- roofs.c ---- */

struct roof_rate {
    uint32_t threads;
    uint64_t buffer_bytes; /* 0: arithmetic */
    double per_second;
};

enum { ROOF_RATES = 64 };

struct machine_roofs {
    bool known;
    uint64_t cache_bytes;
    uint32_t n_reads, n_arithmetic;
    struct roof_rate read[ROOF_RATES], arithmetic[ROOF_RATES];
};

/* Where the measurements of a machine are kept: the caller's; NULL: memory, or no home folder. */
char * roofs_path(const json_t * host);

/* Of the machine that a run's metadata names (NULL: unknown). */
struct machine_roofs roofs_load(const json_t * metadata);

/* Bytes a second that so many threads read where all of them together read `bytes` again and again: of the largest
 * buffer that is not larger (what is larger reads slower), and of as many threads, or the next fewer. 0: not known. */
double roofs_read(const struct machine_roofs * r, uint32_t threads, uint64_t bytes);
double roofs_arithmetic(const struct machine_roofs * r, uint32_t threads);

/* The threads that read fastest. */
uint32_t roofs_best_threads(const struct machine_roofs * r, uint64_t bytes);

/* ---- verdict.c ---- */

enum limit { LIMIT_MEMORY, LIMIT_COMPUTE, LIMIT_BARRIERS, LIMIT_DISK, LIMIT_OTHERS, LIMITS };

/* Of the time of a token, the share that each limit explains by itself; below 0: not known. */
struct limits {
    double share[LIMITS];
};

/* The limit that explains most, if that is half or more; LIMITS: none does. */
enum limit verdict_of(const struct limits * limits);

/* What they are computed from. */
struct pace {
    uint32_t threads;
    double token_ns, token_bytes, token_flops; /* bytes: of weights and state */
    double wait_share;                         /* below 0: not recorded */
    double missing, others_share;              /* machine_missing, machine_lost; below 0: not known */
    double faults;                             /* major ones, by graph */
    double blocked_share; /* a thread was in a page fault, as `tat record --io` found; below 0: not recorded */
};
struct limits limits_of(const struct pace * pace, const struct machine_roofs * roofs);

/* Tokens a second that the roofs allow with so many threads, of that many bytes and operations. 0: not known. */
double ceiling_of(const struct machine_roofs * roofs, uint32_t threads, double bytes, double flops);

#endif
