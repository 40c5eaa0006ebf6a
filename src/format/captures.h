/* SPDX-License-Identifier: MIT
 *
 * The values that were read while an evaluation ran.
 */
#ifndef TAT_FORMAT_CAPTURES_H
#define TAT_FORMAT_CAPTURES_H

#include "format/trace.h"

enum { CAPTURE_VALUES_MAX = 1 << 24 };

/* Reads the next capture: how many values it has, of which up to `capacity` go to `values` (NULL with 0: none). False:
 * the bytes make no sense. */
bool capture_next(struct tat_in * in, enum tat_capture_kind kind, int64_t * values, size_t capacity, size_t * count);

#endif
