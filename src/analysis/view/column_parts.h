/* SPDX-License-Identifier: MIT
 *
 * The columns of a picture, filled by several threads.
 */
#ifndef TAT_ANALYSIS_VIEW_COLUMN_PARTS_H
#define TAT_ANALYSIS_VIEW_COLUMN_PARTS_H

#include <stdint.h>

#include "tat/error.h"

/* Fills columns [first, end). Called by several threads at once. 0, or -1 with *error. */
typedef int (*column_parts_fill)(const void * picture, uint32_t first, uint32_t end, struct tat_error * error);

/* Has all columns filled, each by one call, in as many parts as there are processors, but not more than a picture is
 * worth. 0, or -1 with the *error of one that failed. Thread-safe. */
int column_parts_run(uint32_t columns, column_parts_fill fill, const void * picture, struct tat_error * error);

#endif
