/* SPDX-License-Identifier: MIT
 *
 * The sums of long traces, kept in the folder analysis/ of a run from one `tat view` to the next. The server only reads,
 * so it has them kept here. Sums that cannot be kept, or are not as they should be, are made anew: nothing here fails.
 */
#ifndef TAT_CLI_VIEW_SUMS_H
#define TAT_CLI_VIEW_SUMS_H

#include "analysis/view/pyramid.h"

/* For the caller to free; NULL: there are none of this trace. Thread-safe. */
struct pyramid * view_sums_find(const struct subject * subject, const struct token_axis * axis);

/* Of a trace in a run's folder, unless that cannot be written to. Thread-safe. */
void view_sums_keep(const struct tat_trace * trace, const struct pyramid * sums);

#endif
