/* SPDX-License-Identifier: MIT
 *
 * What takes most of a token's time, by operation and by part of the model: as the median over tokens, for `time`.
 */
#ifndef TAT_ANALYSIS_LEADING_H
#define TAT_ANALYSIS_LEADING_H

#include "analysis/token_times.h"

/* The column with the largest share of a token's time, the median over tokens. */
struct leading {
    uint32_t column;
    double share;
    uint32_t tokens; /* in which no other column took longer */
};

/* False: memory. Of no tokens, all is 0. */
bool leading_of(const struct token_times * times, struct leading * leading);

/* Headline, values, the table of operations token by token, and the answer to where the time goes. False: there is no
 * token that was computed to its end, so nothing was said; or memory (r->failed). */
bool leading_say(const struct subject * subject, struct result * r);

#endif
