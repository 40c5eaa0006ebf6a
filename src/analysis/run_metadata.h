/* SPDX-License-Identifier: MIT
 *
 * What trace_metadata.json adds to a trace: the host and the command line.
 */
#ifndef TAT_ANALYSIS_RUN_METADATA_H
#define TAT_ANALYSIS_RUN_METADATA_H

#include <jansson.h>
#include <stdint.h>

#include "tat/trace.h"

/* Of the file beside the trace; NULL where there is none that can be read. The caller owns it. */
json_t * run_metadata(const struct tat_trace * trace);

/* The tokens that the program which computed was asked to generate (-n), or -1 where the command line does not say. */
int64_t run_asked_tokens(const json_t * metadata);

#endif
