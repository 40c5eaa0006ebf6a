/* SPDX-License-Identifier: MIT
 *
 * The answer of an analysis (src/analysis/result.h) as text: headline, lines, tables, notes. It knows no section by
 * name.
 */
#ifndef TAT_CLI_REPORT_TEXT_H
#define TAT_CLI_REPORT_TEXT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

/* `asked`: the section was named, so that all its tables for people are wanted. 0, or -1 where memory ran out. */
int report_text(const json_t * section, bool asked, FILE * out);

/* Several of them by name, one under the other; what there is nothing of is left out, unless sections were named. */
int report_sections(const json_t * answers, bool by_name, FILE * out);

/* The same as JSON. */
int report_json(const json_t * answers, FILE * out);

/* Its questions with their answers. */
void report_answers(const json_t * section, FILE * out);

/* Those of all sections, as an array of {section, question, answer} and, where there are several models, model. 0, or
 * -1 where memory ran out or writing failed. */
int report_answers_json(const json_t * answers, FILE * out);

/* Shares as characters: the largest of a column's arrays, which is one scale for all rows; and the mark for a part of
 * it, from nothing to a full bar. */
double report_scale(const json_t * rows, const char * key);
const char * report_mark(double part);

#endif
