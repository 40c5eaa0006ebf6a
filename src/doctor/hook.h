/* SPDX-License-Identifier: MIT
 *
 * Would the agent see the graphs that these libraries compute?
 */
#ifndef TAT_DOCTOR_HOOK_H
#define TAT_DOCTOR_HOOK_H

#include <stdbool.h>

#include "doctor/findings.h"
#include "doctor/libraries.h"

/* Adds what is found: where ggml computes, its version, and whether its call can be reached. at[0] is the program;
 * `all` says that they are all the process will ever have, as far as one can know. */
void hook_check(const struct libraries * libraries, bool all, struct findings * findings);

#endif
