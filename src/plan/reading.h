/* SPDX-License-Identifier: MIT
 *
 * How the manager reads. What a plan expects of it goes by the same figures.
 */
#ifndef TAT_PLAN_READING_H
#define TAT_PLAN_READING_H

#include <stdbool.h>
#include <stdint.h>

enum {
    READING_AT_ONCE = 8,         /* reads under way */
    READING_GUESSES_AT_ONCE = 2, /* of these, what is only expected */
};

/* Of the ring that streamed pieces pass through, in its unit: what a disk gets at once that tells of its reads
 * together. */
static inline uint64_t reading_batch(uint64_t ring) {
    return ring / 2;
}

/* Likewise: once the ring is full, so much goes and comes at a time. */
static inline uint64_t reading_least_room(uint64_t ring, bool in_batches) {
    return ring / (in_batches ? 4 : 8);
}

#endif
