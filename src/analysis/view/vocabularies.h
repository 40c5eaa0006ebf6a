/* SPDX-License-Identifier: MIT */
#ifndef TAT_ANALYSIS_VIEW_VOCABULARIES_H
#define TAT_ANALYSIS_VIEW_VOCABULARIES_H

#include "analysis/view/token_text.h"
#include "gguf/token_pieces.h"

/* The vocabulary of the model that computed an evaluation, as long as `vocabularies` lives. NULL, with a sentence in
 * `why`: it cannot be had. */
const struct token_pieces * vocabulary_of(struct vocabularies * vocabularies, const struct subject * subject,
                                          uint32_t evaluation, char why[TOKEN_TEXT_WHY]);

#endif
