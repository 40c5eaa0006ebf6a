/* SPDX-License-Identifier: MIT
 *
 * The parts of a profile, for profile.c alone. False: memory.
 */
#ifndef TAT_ANALYSIS_DIFF_PROFILE_PARTS_H
#define TAT_ANALYSIS_DIFF_PROFILE_PARTS_H

#include "analysis/diff/profile.h"

bool profile_choices(struct profile * p);  /* of routers */
bool profile_order(struct profile * p);    /* of weights in generation */
bool profile_identity(struct profile * p); /* the model and the prompt */

#endif
