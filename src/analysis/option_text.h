/* SPDX-License-Identifier: MIT
 *
 * Options of an analysis as text: those of `tat report`, and the parameters of the page that shows the same sections.
 */
#ifndef TAT_ANALYSIS_OPTION_TEXT_H
#define TAT_ANALYSIS_OPTION_TEXT_H

#include "tat/analysis.h"

/* Sets the option of this name: hot, cold, memory, disk, unit, read-ahead, layers or tokens. Returns 0, or -1 with
 * *error (TAT_ERROR_USAGE) if the value makes no sense. */
int option_from_text(struct tat_analysis_options * options, const char * name, const char * value,
                     struct tat_error * error);

/* Whether the options go together, once all are set. 0, or -1 with *error. */
int options_agree(const struct tat_analysis_options * options, struct tat_error * error);

/* A section's name, as tat_analysis_name has it. NULL with *error: there is no such section. */
const char * section_from_text(const char * name, struct tat_error * error);

#endif
