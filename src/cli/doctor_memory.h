/* SPDX-License-Identifier: MIT
 *
 * tat doctor --memory: measures what this machine can do, shows it, and keeps it where `tat report` finds it.
 */
#ifndef TAT_CLI_DOCTOR_MEMORY_H
#define TAT_CLI_DOCTOR_MEMORY_H

#include <stdbool.h>

#include "tat/error.h"

/* 0; or -1 with *error. */
int doctor_memory(bool as_json, struct tat_error * error);

#endif
