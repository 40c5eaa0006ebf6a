/* SPDX-License-Identifier: MIT
 *
 * tensor_names.txt: what the tensor numbers of access records stand for, tab-separated.
 */
#ifndef TAT_EXPORT_TENSOR_NAMES_H
#define TAT_EXPORT_TENSOR_NAMES_H

#include <stdio.h>

#include "tat/trace.h"

/* 0, or -1 with *error. `out` stays the caller's. */
int tensor_names_write(const struct tat_trace * trace, FILE * out, struct tat_error * error);

#endif
