/* SPDX-License-Identifier: MIT
 *
 * Counts of experts as text: the counts themselves, which experts to keep in memory, and rules for llama.cpp.
 */
#ifndef TAT_EXPORT_EXPERT_PLAN_H
#define TAT_EXPORT_EXPERT_PLAN_H

#include <stdio.h>

#include "export/expert_counts.h"

/* layer,expert,count: each expert of each layer, zeros included. Files of several runs are merged by adding counts. */
int expert_counts_write(const struct expert_counts * c, bool json, FILE * out, const char * name,
                        struct tat_error * error);

/* What a plan keeps. */
struct expert_plan {
    uint64_t kept, all; /* experts of all layers; with rules, layers */
    uint64_t kept_bytes, all_bytes;
    uint64_t kept_choices, choices; /* how many of the choices fell on what is kept */
};

/* layer,expert,count,bytes,keep. `memory`: bytes that the kept experts may take; 0: `per_layer` of each layer are kept,
 * those chosen most. */
int expert_mask_write(const struct expert_counts * c, uint64_t memory, uint32_t per_layer, bool json, FILE * out,
                      const char * name, struct expert_plan * plan, struct tat_error * error);

/* A value of llama.cpp's option --override-tensor, in a line: it leaves the experts of those layers to the CPU that do
 * not fit into `memory`. All experts of a layer are in one tensor (or three: gate, up, down), which can only be placed
 * as a whole. A failure with TAT_ERROR_NO: all fit, so there is no rule. */
int expert_rules_write(const struct expert_counts * c, uint64_t memory, FILE * out, const char * name,
                       struct expert_plan * plan, struct tat_error * error);

#endif
