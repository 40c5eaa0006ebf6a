/* SPDX-License-Identifier: MIT
 *
 * tat doctor --disk: measures how fast the disk under a file is read, shows it, and keeps it where `tat report` finds
 * it.
 */
#ifndef TAT_CLI_DOCTOR_DISK_H
#define TAT_CLI_DOCTOR_DISK_H

#include <stdbool.h>

#include "tat/error.h"

/* 0; or -1 with *error. */
int doctor_disk(const char * path, bool as_json, struct tat_error * error);

#endif
