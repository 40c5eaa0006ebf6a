/* SPDX-License-Identifier: MIT
 *
 * A look at a running recording (src/analysis/live.h) as text: as the sections of a report, and the use of experts as a
 * map, several layers side by side.
 */
#ifndef TAT_CLI_TOP_TEXT_H
#define TAT_CLI_TOP_TEXT_H

#include <jansson.h>
#include <stdio.h>

/* 0, or -1 where memory ran out. */
int top_text(const json_t * frame, unsigned columns, FILE * out);

/* The same for a screen with few rows: takes rows of the table of tensors out of `frame` until the rest fits, or few
 * are left. The caller frees it; NULL: memory. */
char * top_text_that_fits(const json_t * frame, unsigned columns, unsigned rows);

#endif
