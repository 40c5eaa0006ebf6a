/* SPDX-License-Identifier: MIT
 *
 * What `tat plan` wrote, for `tat run`.
 */
#ifndef TAT_CLI_RUN_PLAN_H
#define TAT_CLI_RUN_PLAN_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "tat/error.h"

struct run_plan {
    uint64_t memory; /* bytes */
    double rate;     /* tokens a second that it expects; 0: not known */
    bool has_gain;   /* its gate is open */
    char headline[512];
    json_t * file; /* all of it */
};

/* 0, or -1 with *error: it cannot be read, or is not a plan. Free it if it was read. */
int run_plan_read(const char * path, struct run_plan * plan, struct tat_error * error);

/* The same of what was read. Takes over `file`. False: it is not a plan. */
bool run_plan_take(json_t * file, struct run_plan * plan);

void run_plan_free(struct run_plan * plan);

#endif
