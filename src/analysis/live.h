/* SPDX-License-Identifier: MIT
 *
 * What a run does while it is being recorded: sums that grow with the trace, and what the last seconds brought.
 */
#ifndef TAT_ANALYSIS_LIVE_H
#define TAT_ANALYSIS_LIVE_H

#include <jansson.h>

#include "tat/trace.h"

struct live;

struct live * live_new(void); /* NULL: memory */
void live_free(struct live * live);

/* Takes in the evaluations that came since; all of them anew where phases were `revised`. False: memory. */
bool live_update(struct live * live, const struct tat_trace * trace, bool revised);

/* A result as in result.h. `now_ns` is in the trace's time; `running`: more may come. NULL: memory. */
json_t * live_result(const struct live * live, const struct tat_trace * trace, uint64_t now_ns, bool running);

#endif
