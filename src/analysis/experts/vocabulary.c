/* SPDX-License-Identifier: MIT */
#include "analysis/experts/vocabulary.h"

#include <stdlib.h>
#include <string.h>

#include "tat/gguf.h"

const char * token_kind_name(enum token_kind kind) {
    static const char * const names[] = { "begins a word", "goes on a word", "number", "punctuation",
                                          "white space",   "special",        "other" };
    return (unsigned) kind < TOKEN_KINDS ? names[kind] : "";
}

/* The bytes of white space at the beginning of the text, as itself or as tokenizers write it; 0: there is none. */
static size_t space_at(const char * text, size_t bytes) {
    static const char * const spaces[] = { " ", "\n", "\t", "\r", "\u0120", "\u010a", "\u0109", "\u010d", "\u2581" };
    for (size_t i = 0; i < sizeof spaces / sizeof spaces[0]; i++) {
        const size_t n = strlen(spaces[i]);
        if (n <= bytes && memcmp(text, spaces[i], n) == 0) { return n; }
    }
    return 0;
}

static bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

enum token_kind token_kind_of(const char * text, size_t bytes) {
    size_t at = 0, letters = 0, digits = 0, marks = 0;
    if (bytes > 2 && text[0] == '<' && text[bytes - 1] == '>') { return TOKEN_SPECIAL; }
    for (size_t n; (n = space_at(text + at, bytes - at)); at += n) {}
    if (at == bytes) { return TOKEN_SPACE; }
    const size_t rest = bytes - at;
    for (size_t i = at; i < bytes; i++) {
        letters += is_letter(text[i]);
        digits += is_digit(text[i]);
        marks += text[i] > 0x20 && text[i] < 0x7f && !is_letter(text[i]) && !is_digit(text[i]);
    }
    return letters == rest  ? (at ? TOKEN_WORD : TOKEN_PART)
           : digits == rest ? TOKEN_NUMBER
           : marks == rest  ? TOKEN_MARK
                            : TOKEN_OTHER;
}

static struct vocabulary * of_model(const struct tat_gguf * gguf) {
    const struct tat_gguf_kv * kv = tat_gguf_find_key(gguf, "tokenizer.ggml.tokens");
    if (!kv || kv->type != TAT_GGUF_ARRAY || kv->element != TAT_GGUF_STRING) { return NULL; }
    struct tat_gguf_strings * texts = tat_gguf_read_strings(gguf, kv, NULL);
    struct vocabulary * v = texts ? malloc(sizeof *v + texts->n) : NULL;
    for (uint64_t i = 0; v && i < texts->n; i++) {
        v->kind[i] = (uint8_t) token_kind_of(texts->text + texts->start[i], texts->start[i + 1] - texts->start[i] - 1);
    }
    if (v) { v->n = texts->n; }
    free(texts);
    return v;
}

struct vocabulary * vocabulary_read(const struct subject * subject) {
    struct vocabulary * v = NULL;
    for (uint32_t i = 0; i < subject->n_files && !v; i++) {
        uint32_t count;
        if (!subject_has_model(subject, subject->files[i].model)) { continue; }
        struct tat_gguf * gguf = tat_gguf_open(subject->files[i].path, TAT_GGUF_SINGLE | TAT_GGUF_TOLERANT, NULL);
        if (gguf && tat_gguf_files(gguf, &count)[0].header_hash == subject->files[i].header_hash) {
            v = of_model(gguf);
        }
        tat_gguf_close(gguf);
    }
    return v;
}
