/* SPDX-License-Identifier: MIT
 *
 * What this machine can do at most: how fast it reads from memory and from its last cache, and how fast it multiplies
 * and adds, by number of threads.
 */
#ifndef TAT_DOCTOR_ROOFS_H
#define TAT_DOCTOR_ROOFS_H

#include <stddef.h>
#include <stdint.h>

#include "tat/error.h"

struct roof_read {
    unsigned threads;
    uint64_t buffer_bytes;        /* read by all threads together, each its part, again and again */
    double per_second, low, high; /* bytes: the median, the least and the most of the rounds */
};

struct roof_arithmetic {
    unsigned threads;
    double per_second, low, high; /* operations: a multiply-add of F32 counts two */
};

enum { ROOF_THREADS_MAX = 24, ROOF_BUFFERS = 2, ROOF_ROUNDS = 5 };

struct roofs {
    uint64_t cache_bytes; /* of the last level */
    struct roof_read read[ROOF_THREADS_MAX * ROOF_BUFFERS];
    struct roof_arithmetic arithmetic[ROOF_THREADS_MAX];
    size_t n_reads, n_arithmetic;
};

/* With 1, 2, 3, 4, 6, 8, 12, ... threads, up to the processors that this process may use. Takes seconds, and memory of
 * twice the cache. 0; or -1 with *error: memory, or no thread. */
int roofs_measure(struct roofs * roofs, struct tat_error * error);

#endif
