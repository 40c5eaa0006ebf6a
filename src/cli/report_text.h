/* SPDX-License-Identifier: MIT
 *
 * The answer of an analysis (src/analysis/result.h) as text: headline, lines, table, notes. It knows no section by
 * name.
 */
#ifndef TAT_CLI_REPORT_TEXT_H
#define TAT_CLI_REPORT_TEXT_H

#include <jansson.h>
#include <stdio.h>

/* 0, or -1 where memory ran out. */
int report_text(const json_t * section, FILE * out);

#endif
