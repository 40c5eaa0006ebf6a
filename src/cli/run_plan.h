/* SPDX-License-Identifier: MIT
 *
 * What `tat plan` wrote, for `tat run`.
 */
#ifndef TAT_CLI_RUN_PLAN_H
#define TAT_CLI_RUN_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "tat/error.h"

struct run_plan {
    uint64_t memory; /* bytes */
    double rate;     /* tokens a second that it expects; 0: not known */
    bool has_gain;   /* its gate is open */
    char headline[512];
};

/* 0, or -1 with *error: it cannot be read, or is no plan. */
int run_plan_read(const char * path, struct run_plan * plan, struct tat_error * error);

#endif
