/* SPDX-License-Identifier: MIT
 *
 * How many layers the trace can tell of: what is kept by layer needs so many places, and not as many as numbers allow.
 */
#ifndef TAT_ANALYSIS_LAYER_SPAN_H
#define TAT_ANALYSIS_LAYER_SPAN_H

#include "analysis/analysis.h"

/* One more than the highest layer of any tensor or entry of a graph; 0 where none has one. */
uint32_t layer_span(const struct subject * subject);

#endif
