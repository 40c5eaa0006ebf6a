/* SPDX-License-Identifier: MIT
 *
 * The same throws for the same seed, on any machine.
 */
#ifndef TAT_TESTS_DICE_H
#define TAT_TESTS_DICE_H

#include <stdint.h>

/* Below `sides`. */
static inline uint32_t dice(uint32_t * seed, uint32_t sides) {
    *seed = *seed * 1664525u + 1013904223u;
    return (uint32_t) (((uint64_t) (*seed >> 8) * sides) >> 24);
}

#endif
