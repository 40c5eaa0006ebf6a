/* SPDX-License-Identifier: MIT
 *
 * The section on layers: layers.c counts bytes and sums times, slowest.c looks at the times token by token.
 */
#ifndef TAT_ANALYSIS_LAYERS_LAYERS_H
#define TAT_ANALYSIS_LAYERS_LAYERS_H

#include "analysis/analysis.h"

/* What is said of the slowest layers: headline, values, the table of times by token, the answer. `bytes` holds what
 * each layer below `n_layers` touches, 0 for those that no operation names. */
void layers_slowest(const struct subject * subject, struct result * result, const uint64_t * bytes, uint32_t n_layers);

#endif
