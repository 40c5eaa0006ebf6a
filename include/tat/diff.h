/* SPDX-License-Identifier: MIT
 *
 * Traces compared with each other, as JSON: `tat diff --json` prints it. Thread-safe: calls share nothing.
 */
#ifndef TAT_DIFF_H
#define TAT_DIFF_H

#include "tat/trace.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TAT_DIFF_MOST 64 /* traces in one comparison */

/* The name of a section, such as "order", and its title. `index` counts from 0; NULL behind the last section. */
const char * tat_diff_name(unsigned index);
const char * tat_diff_title(unsigned index);

/* Compares 2 to TAT_DIFF_MOST traces, which stay the caller's. Answers the named sections or, if `n_names` is 0, all.
 * Returns {"runs": {...}, "tensors": {...}, ...}, each section as in tat_analyze. In tensors, experts and order, the
 * value "differs" says whether anything is not the same. The text is UTF-8; the caller frees it with free(). Returns
 * NULL on failure, with the reason in *error: a wrong number of traces, an unknown name, or no memory. */
char * tat_diff(const struct tat_trace * const * traces, size_t count, const char * const * names, size_t n_names,
                struct tat_error * error);

#ifdef __cplusplus
}
#endif
#endif
