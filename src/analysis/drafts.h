/* SPDX-License-Identifier: MIT
 *
 * Speculative decoding: how many tokens of a draft were proposed, and how many of them the model that checked accepted.
 */
#ifndef TAT_ANALYSIS_DRAFTS_H
#define TAT_ANALYSIS_DRAFTS_H

#include "analysis/analysis.h"

struct drafts {
    uint64_t checks, proposed, accepted; /* drafts whose outcome is known */
    uint64_t unclear;                    /* others: the last one, and those where several sequences share a ubatch */
    bool failed;                         /* no memory */
};

/* A ubatch that checks a draft begins with a token that was sampled. The next ubatch of its context begins after the
 * last token that was accepted. */
struct drafts drafts_count(const struct subject * s);

#endif
