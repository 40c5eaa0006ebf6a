/* SPDX-License-Identifier: MIT
 *
 * Kinds of tokens, told by the texts of the model file's vocabulary.
 */
#ifndef TAT_ANALYSIS_EXPERTS_VOCABULARY_H
#define TAT_ANALYSIS_EXPERTS_VOCABULARY_H

#include "analysis/analysis.h"

enum token_kind {
    TOKEN_WORD,    /* begins a word: letters after a space */
    TOKEN_PART,    /* continues a word, or begins a text: letters without a space before */
    TOKEN_NUMBER,  /* digits */
    TOKEN_MARK,    /* punctuation */
    TOKEN_SPACE,   /* spaces, line breaks and tabs only */
    TOKEN_SPECIAL, /* <s>, <|im_end|>, <0x0A> */
    TOKEN_OTHER,   /* other scripts, and mixtures */
    TOKEN_KINDS
};

const char * token_kind_name(enum token_kind kind);

/* The kind of a text as tokenizers store it: byte-level BPE writes a space as U+0120, SentencePiece as U+2581. */
enum token_kind token_kind_of(const char * text, size_t bytes);

struct vocabulary {
    uint64_t n;
    uint8_t kind[]; /* by token id */
};

/* The vocabulary of the trace's first model file that is still there and unchanged and has one. The caller frees the
 * result with free(). NULL: there is none, or no memory. */
struct vocabulary * vocabulary_read(const struct subject * subject);

#endif
