/* SPDX-License-Identifier: MIT
 *
 * A pyramid as bytes, to be kept beside its trace. doc/format.md describes them. They say of which trace the sums are,
 * so that those of another one, or of this one before it grew, are never taken.
 */
#ifndef TAT_ANALYSIS_VIEW_PYRAMID_FILE_H
#define TAT_ANALYSIS_VIEW_PYRAMID_FILE_H

#include "analysis/view/pyramid.h"

#define PYRAMID_FILE             "view_sums.bin"
#define PYRAMID_FILE_BYTES_MOST ((size_t) 256 << 20)

/* For the caller to free. NULL: no memory. Thread-safe. */
void * pyramid_to_bytes(const struct pyramid * pyramid, const struct tat_trace * trace, size_t * count);

/* Trusts none of the bytes: what is not as pyramid_make would make it is found by a checksum, by what a sum can be, and
 * by making some blocks anew. The caller owns the pyramid. NULL: they are not of this trace, of another version of tat,
 * or damaged; or no memory. Thread-safe. */
struct pyramid * pyramid_from_bytes(const struct subject * subject, const struct token_axis * axis, const void * bytes,
                                    size_t count);

#endif
