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

/* The section takes long on a large trace: it is answered only where it is named. */
bool tat_analysis_is_slow(unsigned index);

/* What a question may depend on besides the trace; 0 stands for the default or for "not given". */
struct tat_analysis_options {
    double hot_share, cold_share; /* of the weights, by number, up to 1: 0.1 and 0.5 */
    uint64_t memory_bytes;        /* for the model's weights */
    uint64_t disk_bytes_per_second;
    uint32_t model; /* its number, where graphs of several were computed; 0: tat_trace_main_model */
};

/* Answers the sections named, or all but slow ones if `count` is 0, in one pass over the trace: {"layers": {...}, ...},
 * as UTF-8 text that the caller frees with free(). `options` may be NULL. NULL on failure, with the reason in *error: a
 * name that is none, or memory. */
char * tat_analyze(const struct tat_trace * trace, const char * const * names, size_t count,
                   const struct tat_analysis_options * options, struct tat_error * error);

#ifdef __cplusplus
}
#endif
#endif
