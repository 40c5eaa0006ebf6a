/* SPDX-License-Identifier: MIT
 *
 * Gives bytes that are to be sums for pictures (doc/format.md) the length and the checksum that they should have, so that
 * what else is wrong with them is found by other means.
 */
#ifndef SUMS_SEAL_H
#define SUMS_SEAL_H

#include "format/block.h"

enum { SUMS_HEADER = 128, SUMS_MARKS_AT = 20, SUMS_LENGTH_AT = 112, SUMS_CHECKSUM_AT = 120 };

/* `count`: with the header. */
static inline void sums_seal(uint8_t * bytes, size_t count) {
    const uint64_t length = count - SUMS_HEADER;
    memcpy(bytes + SUMS_LENGTH_AT, &length, sizeof length);
    const uint64_t checksum = tat_checksum(bytes + SUMS_HEADER, length, tat_checksum(bytes, SUMS_CHECKSUM_AT, 0));
    memcpy(bytes + SUMS_CHECKSUM_AT, &checksum, sizeof checksum);
}

#endif
