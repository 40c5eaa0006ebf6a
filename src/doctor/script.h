/* SPDX-License-Identifier: MIT */
#ifndef TAT_DOCTOR_SCRIPT_H
#define TAT_DOCTOR_SCRIPT_H

#include <limits.h>
#include <stdbool.h>

/* The program that runs a script, by its first line; `env NAME` is looked up on PATH. False if it is not a script, or
 * its program is not found. */
bool script_interpreter(const char * script, char path[static PATH_MAX]);

#endif
