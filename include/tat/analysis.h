/* SPDX-License-Identifier: MIT
 *
 * Questions asked of a trace, answered as JSON: `tat report --json` prints it. src/analysis/result.h describes an
 * answer. Thread-safe: calls share nothing.
 */
#ifndef TAT_ANALYSIS_H
#define TAT_ANALYSIS_H

#include "tat/trace.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The name of a section, such as "layers", and its title. `index` counts from 0; NULL behind the last section. */
const char * tat_analysis_name(unsigned index);
const char * tat_analysis_title(unsigned index);

/* A slow section takes long on a large trace, so it is answered only if it is named. */
bool tat_analysis_is_slow(unsigned index);

/* What a cache keeps as one: a weight or an expert's part of a tensor, or an expert in all tensors of its layer. Other
 * values are bytes of a block of the model files. */
#define TAT_CACHE_SLICE  0
#define TAT_CACHE_EXPERT 1

/* What an answer may depend on besides the trace. 0 means the default, or "not given". */
struct tat_analysis_options {
    double hot_share, cold_share; /* of the number of weights, up to 1; 0.1 and 0.5 by default */
    uint64_t memory_bytes;        /* that the model's weights may take */
    uint64_t disk_bytes_per_second;
    uint64_t cache_unit; /* of "caching": TAT_CACHE_SLICE, TAT_CACHE_EXPERT, or a power of two from 512 to 2^24 */
    uint32_t model;      /* number of the model, if graphs of several were computed; 0: tat_trace_main_model */
    /* What the answers are about. A section that cannot be about some layers alone is about all, and its title says
     * why. The section on the run is about all of it. */
    struct tat_scope scope;
    uint32_t read_ahead; /* of "caching", if the unit is a block: blocks, a power of two up to 1024; 0: none */
};

/* Answers the named sections or, if `count` is 0, all except slow ones, in one pass over the trace. Returns {"layers":
 * {...}, ...} as UTF-8 text, which the caller frees with free(). `options` may be NULL. Returns NULL on failure, with
 * the reason in *error: an unknown name, or no memory. */
char * tat_analyze(const struct tat_trace * trace, const char * const * names, size_t count,
                   const struct tat_analysis_options * options, struct tat_error * error);

#ifdef __cplusplus
}
#endif
#endif
