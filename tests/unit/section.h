/* SPDX-License-Identifier: MIT
 *
 * What `tat report' says of a trace made in memory.
 */
#ifndef SECTION_H
#define SECTION_H

#include <jansson.h>

#include "tat/analysis.h"
#include "trace_builder.h"

/* Closes the trace and frees its bytes. The caller owns the section. A failure fails the test. */
json_t * section_of(struct trace_builder * b, struct tat_trace * trace, const char * name,
                    const struct tat_analysis_options * options);

/* The section for what was built so far, all of which can be read. */
json_t * section_of_all(struct trace_builder * b, const char * name);

#endif
