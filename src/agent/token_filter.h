/* SPDX-License-Identifier: MIT
 *
 * Which evaluations hold tokens that were asked for (TAT_TOKENS). Tokens are counted as a reader of the trace counts
 * them (doc/format.md, "Order, tokens, phases"): per context, without warm-up.
 */
#ifndef TAT_AGENT_TOKEN_FILTER_H
#define TAT_AGENT_TOKEN_FILTER_H

#include <stdbool.h>
#include <stdint.h>

/* Counts the tokens of an evaluation that has ended. `has_output`: rows came out of it. False: certain tokens were
 * asked for, and it holds none of them. Any thread; takes no lock if all tokens are asked for. */
bool tokens_count(uint32_t context, uint32_t n_tokens, bool has_output);

/* An event between graphs: warm-up, clearing. Any thread. */
void tokens_event(int type, int64_t value);

void tokens_after_fork(void);

#endif
