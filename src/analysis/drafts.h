/* SPDX-License-Identifier: MIT
 *
 * Speculative decoding: how many tokens of a draft were proposed, and how many of them the model that checked accepted.
 */
#ifndef TAT_ANALYSIS_DRAFTS_H
#define TAT_ANALYSIS_DRAFTS_H

#include "analysis/analysis.h"

struct drafts {
    uint64_t checks, proposed, accepted; /* those whose outcome is known */
    uint64_t unclear; /* those where it is not: the last one, and where several sequences are one ubatch */
    bool failed;      /* memory */
};

/* A ubatch that checks a draft begins with a token that was sampled; the next one of its context begins behind the last
 * token that was accepted. */
struct drafts drafts_count(const struct subject * s);

#endif
