/* SPDX-License-Identifier: MIT
 *
 * What a plan has to know of the machine and the program, besides the trace.
 */
#ifndef TAT_CLI_PLAN_MACHINE_H
#define TAT_CLI_PLAN_MACHINE_H

#include <jansson.h>

#include "analysis/planning/planning.h"

struct plan_machine {
    json_t * disk; /* as disk_kept has it */
    char disk_name[128];
};

/* Fills in what the request needs of them: of the disk under `model` (NULL: where the trace says that the model is), if
 * the request has no rate; and of what a llama.cpp of the trace's options needs beside the model. What cannot be known
 * is left out, and the plan says so. 0; or -1 with *error if `model` is given and cannot be read. Free it in any case.
 */
int plan_machine_find(struct plan_machine * m, const struct tat_trace * trace, const char * model,
                      struct planning_request * request, struct tat_error * error);
void plan_machine_free(struct plan_machine * m);

/* A plan from a trace in that folder, where its model is. The caller owns it; NULL with *error. */
json_t * plan_machine_plan(const char * folder, struct planning_request request, struct tat_error * error);

#endif
