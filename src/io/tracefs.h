/* SPDX-License-Identifier: MIT */
#ifndef TAT_IO_TRACEFS_H
#define TAT_IO_TRACEFS_H

#include "tat/error.h"

/* A descriptor of tracefs' folder, wherever it is mounted; where it is not, of a mount that is in no folder and ends
 * with the descriptor. -1 with *error. The caller closes it. */
int tracefs_open(struct tat_error * error);

#endif
