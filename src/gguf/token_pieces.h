/* SPDX-License-Identifier: MIT
 *
 * A model's vocabulary: the bytes that each token stands for. They need not be UTF-8: byte-level tokenizers split
 * characters.
 */
#ifndef TAT_GGUF_TOKEN_PIECES_H
#define TAT_GGUF_TOKEN_PIECES_H

#include "tat/gguf.h"

struct token_pieces;

struct token_piece {
    const char * bytes; /* any bytes, NUL too */
    size_t n;
    bool is_control; /* "<s>", "<|im_end|>", "<unk>": not part of what was written */
};

/* As llama.cpp writes tokens, special ones in full. Tokens that it never writes, such as unused ones, have no bytes.
 * The result does not change, so any thread may read it. NULL with *error: the file has no vocabulary, or that of a
 * tokenizer that is not known here; it has changed since it was opened; there is no memory. */
struct token_pieces * token_pieces_read(const struct tat_gguf * gguf, struct tat_error * error);
void token_pieces_free(struct token_pieces * pieces); /* NULL is allowed */

/* False: the vocabulary has no such id. */
bool token_pieces_find(const struct token_pieces * pieces, int64_t id, struct token_piece * piece);

#endif
