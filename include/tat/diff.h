/* SPDX-License-Identifier: MIT
 *
 * Traces compared with each other, as JSON: what `tat diff --json` prints. Thread-safe: nothing is shared.
 */
#ifndef TAT_DIFF_H
#define TAT_DIFF_H

#include "tat/trace.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TAT_DIFF_MOST 64 /* traces at once */

/* Name and title of a section: "order". NULL from the first index that has none. */
const char * tat_diff_name(unsigned index);
const char * tat_diff_title(unsigned index);

/* Compares 2 to TAT_DIFF_MOST traces, which stay the caller's: {"runs": {...}, "tensors": {...}, ...}, each section as
 * in tat_analyze; those named, or all if `n_names` is 0. "differs" among the values of tensors, experts and order says
 * whether anything is not the same there. UTF-8 text that the caller frees with free(); NULL on failure, with the
 * reason in *error: a number or a name that is none, or memory. */
char * tat_diff(const struct tat_trace * const * traces, size_t count, const char * const * names, size_t n_names,
                struct tat_error * error);

#ifdef __cplusplus
}
#endif
#endif
