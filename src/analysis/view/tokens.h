/* SPDX-License-Identifier: MIT
 *
 * What each token of a run touched, and how long it took.
 */
#ifndef TAT_ANALYSIS_VIEW_TOKENS_H
#define TAT_ANALYSIS_VIEW_TOKENS_H

#include "analysis/view/token_axis.h"

enum { TOKENS_ENTRIES_MOST = 20000 };

/* Columns of equal length: {"first": 0, "tokens_per_entry": n, "phase": [..], "start_ns": [..], "duration_ns": [..],
 * "bytes": [..], "accesses": [..], "new_experts": [..]}. An entry is a token or, where there are more than
 * TOKENS_ENTRIES_MOST, several: then it has sums, and the phase and beginning of the first. Tokens that were computed
 * together share bytes, accesses and time equally. A new expert is one that the token before did not use; without
 * experts there is no such column. The caller owns the answer. NULL with *error. Thread-safe. */
json_t * view_tokens(const struct subject * subject, struct tat_error * error);

/* Of a run of so many tokens. */
uint32_t tokens_per_entry(uint32_t tokens);

#endif
