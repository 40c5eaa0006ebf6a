/* SPDX-License-Identifier: MIT
 *
 * Questions asked of a trace, and their answers as JSON: what `tat report --json` prints. src/analysis/result.h tells
 * what an answer looks like. Thread-safe: nothing is shared.
 */
#ifndef TAT_ANALYSIS_H
#define TAT_ANALYSIS_H

#include "tat/trace.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Name and title of a section: "layers". NULL from the first index that has none. */
const char * tat_analysis_name(unsigned index);
const char * tat_analysis_title(unsigned index);

/* Answers the sections named, or all if `count` is 0, in one pass over the trace: {"layers": {...}, ...}, as UTF-8 text
 * that the caller frees with free(). NULL on failure, with the reason in *error: a name that is none, or memory. */
char * tat_analyze(const struct tat_trace * trace, const char * const * names, size_t count, struct tat_error * error);

#ifdef __cplusplus
}
#endif
#endif
