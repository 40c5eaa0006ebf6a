/* SPDX-License-Identifier: MIT
 *
 * What was read and written: the text of a run's tokens, by the vocabularies of its model files.
 */
#ifndef TAT_ANALYSIS_VIEW_TOKEN_TEXT_H
#define TAT_ANALYSIS_VIEW_TOKEN_TEXT_H

#include "analysis/analysis.h"

enum {
    TOKEN_TEXT_MOST = 512, /* bytes of an entry's text; more are cut */
    TOKEN_TEXT_WHY = 256,
};

/* The vocabularies of a trace's models. Each is read when it is first needed, from the file that the trace names, if
 * that has the header that was recorded; the vocabulary is in the header. Any thread may use them. */
struct vocabularies;

struct vocabularies * vocabularies_new(void); /* NULL: no memory */
void vocabularies_free(struct vocabularies * vocabularies); /* NULL is allowed */

/* Whether the text of any token is known. If not, `why` says in a sentence what is missing. */
bool view_has_text(const struct subject * subject, struct vocabularies * vocabularies, char why[TOKEN_TEXT_WHY]);

/* Adds to an answer of view_tokens "text", what each entry stands for in the order of tokens, null where that is not
 * known, and "text_special", the numbers of entries that are special tokens, such as "<s>". Both are null if the text
 * of no token is known. The text is UTF-8: a character whose bytes come from several tokens of a sequence belongs to
 * the last of them, and what is no character is U+FFFD. 0, or -1 with *error. */
int view_add_text(json_t * tokens, const struct subject * subject, struct vocabularies * vocabularies,
                  struct tat_error * error);

#endif
