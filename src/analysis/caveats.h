/* SPDX-License-Identifier: MIT
 *
 * What all figures of a trace are subject to, because something was not recorded or cannot be told: each a sentence,
 * which whoever shows figures shows with them.
 */
#ifndef TAT_ANALYSIS_CAVEATS_H
#define TAT_ANALYSIS_CAVEATS_H

#include "analysis/analysis.h"

enum { CAVEAT_SIZE = 384 };

/* Why a section has no figures: graphs were computed, but none for a prompt or a generated token. "" if there was one,
 * or if the reason is another. */
const char * caveat_no_tokens(const struct subject * s, char text[static CAVEAT_SIZE]);

/* That another backend computed parts; "" where none did. */
const char * caveat_elsewhere(const struct subject * s, char text[static CAVEAT_SIZE]);

/* That tokens which count as generated may be of the prompt; "" where that is certain. */
const char * caveat_prompt(const struct subject * s, char text[static CAVEAT_SIZE]);

/* Both, with a space between; "" where there is neither. */
const char * caveats(const struct subject * s, char text[static 2 * CAVEAT_SIZE]);

#endif
