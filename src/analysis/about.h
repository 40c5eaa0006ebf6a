/* SPDX-License-Identifier: MIT
 *
 * What a section is about, if not the whole trace: its title says it.
 */
#ifndef TAT_ANALYSIS_ABOUT_H
#define TAT_ANALYSIS_ABOUT_H

#include "analysis/analysis.h"

/* Adds to the title which model, layers and tokens the section is about or, where it cannot be about the layers that
 * were asked for, why; the same as values: model, of_layers, of_tokens. */
void about_say(const struct subject * s, struct result * r, const struct analysis * analysis);

#endif
