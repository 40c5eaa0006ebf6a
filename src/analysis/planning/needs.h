/* SPDX-License-Identifier: MIT */
#ifndef TAT_ANALYSIS_PLANNING_NEEDS_H
#define TAT_ANALYSIS_PLANNING_NEEDS_H

#include "analysis/planning/planning.h"

enum { PLAN_PAGE = 4096 };

#define NO_ITEM UINT32_MAX

/* Fills in pieces, needs and the string of experts, once references and course have been fed. False: memory. */
bool planning_find_needs(struct planning * p);

#endif
