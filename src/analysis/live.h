/* SPDX-License-Identifier: MIT
 *
 * What a run does while it is being recorded: sums that grow with the trace, and what the last seconds brought.
 */
#ifndef TAT_ANALYSIS_LIVE_H
#define TAT_ANALYSIS_LIVE_H

#include <jansson.h>

#include "tat/trace.h"

struct live;

struct live * live_new(void); /* NULL: no memory */
void live_free(struct live * live);

/* Takes in the evaluations that came since the last call; all evaluations anew if phases were `revised`. False: no
 * memory. */
bool live_update(struct live * live, const struct tat_trace * trace, bool revised);

/* A result as in result.h. `now_ns`: in the trace's time. `running`: more may come. NULL: no memory. */
json_t * live_result(const struct live * live, const struct tat_trace * trace, uint64_t now_ns, bool running);

#endif
