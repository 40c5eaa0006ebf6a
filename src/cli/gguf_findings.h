/* SPDX-License-Identifier: MIT
 *
 * What is wrong with a model file, in a few lines however many tensors it is wrong with.
 */
#ifndef TAT_CLI_GGUF_FINDINGS_H
#define TAT_CLI_GGUF_FINDINGS_H

#include <stdbool.h>
#include <stdio.h>

#include "tat/gguf.h"

/* Anything that makes the model unusable, and not merely odd. */
bool gguf_is_damaged(const struct tat_gguf * gguf);

/* One line for a file that is cut short, then the first few findings of each other kind and how many more there are. */
void gguf_print_findings(const struct tat_gguf * gguf, FILE * out);

#endif
