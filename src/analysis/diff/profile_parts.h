/* SPDX-License-Identifier: MIT
 *
 * The parts of a profile, for profile.c alone. False: memory.
 */
#ifndef TAT_ANALYSIS_DIFF_PROFILE_PARTS_H
#define TAT_ANALYSIS_DIFF_PROFILE_PARTS_H

#include "analysis/diff/profile.h"

bool profile_routing(struct profile * p); /* choices of experts, and the prompt; both from captures */
void profile_free_choices(struct profile * p);
bool profile_order(struct profile * p); /* of weights in generation */
void profile_models(struct profile * p);

#endif
