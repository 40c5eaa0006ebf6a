/* SPDX-License-Identifier: MIT
 *
 * Tokenizers escape bytes in the names of their tokens, each kind in its way. No name gets longer by undoing that, so
 * it is done in place.
 */
#include "gguf/token_pieces.h"

#include <stdlib.h>
#include <string.h>

#include "gguf/model.h"

#define KEY(name) "tokenizer.ggml." name

/* As tokenizer.ggml.token_type has them. */
enum token_type { UNDEFINED = 0, NORMAL = 1, UNKNOWN = 2, CONTROL = 3, USER_DEFINED = 4, UNUSED = 5, BYTE = 6 };

struct token_pieces {
    struct tat_gguf_strings * texts;
    uint32_t * bytes; /* of each */
    uint8_t * types;  /* enum token_type, of each */
};

/* Undoes the escapes of a text in place, and returns how many bytes are left. */
typedef size_t (*unescape)(char * text, size_t n);

/* ---- how each kind of tokenizer writes bytes ---- */

/* GPT-2 writes printable bytes of Latin-1 as the character of that number, and all others, in order, as U+0100 and up.
 * -1: no byte is written so. */
static int byte_of(uint32_t character) {
    const bool is_plain = (character >= 0x21 && character <= 0x7e) || (character >= 0xa1 && character <= 0xff);
    if (is_plain && character != 0xad) { return (int) character; }
    if (character < 0x100 || character > 0x143) { return -1; }
    const uint32_t i = character - 0x100;
    return i <= 0x20 ? (int) i : i <= 0x42 ? (int) (i - 0x21 + 0x7f) : 0xad;
}

static size_t byte_level(char * text, size_t n) {
    size_t to = 0;
    for (size_t i = 0; i < n;) {
        const unsigned char c = (unsigned char) text[i], next = i + 1 < n ? (unsigned char) text[i + 1] : 0;
        const bool is_pair = c >= 0xc2 && c <= 0xdf && (next & 0xc0) == 0x80;
        const int byte = is_pair ? byte_of((uint32_t) (c & 0x1f) << 6 | (next & 0x3f)) : -1;
        text[to++] = byte < 0 ? text[i] : (char) byte;
        i += byte < 0 ? 1 : 2;
    }
    return to;
}

static size_t sentence_piece(char * text, size_t n) {
    size_t to = 0;
    for (size_t i = 0; i < n;) {
        const bool is_space = n - i >= 3 && memcmp(text + i, "\u2581", 3) == 0;
        text[to++] = is_space ? ' ' : text[i];
        i += is_space ? 3 : 1;
    }
    return to;
}

static int hex_digit(char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* "\n", "\x1b", "\\". */
static size_t backslashes(char * text, size_t n) {
    size_t to = 0;
    for (size_t i = 0; i < n; i++) {
        if (text[i] != '\\' || i + 1 == n) {
            text[to++] = text[i];
            continue;
        }
        const char c = text[++i];
        const int high = c == 'x' && n - i > 2 ? hex_digit(text[i + 1]) : -1;
        const int low = high < 0 ? -1 : hex_digit(text[i + 2]);
        text[to++] = low >= 0 ? (char) (high << 4 | low) : c == 't' ? '\t' : c == 'n' ? '\n' : c == 'r' ? '\r' : c;
        i += low >= 0 ? 2 : 0;
    }
    return to;
}

static size_t as_it_is(char * text, size_t n) {
    (void) text;
    return n;
}

/* "<0x0A>". */
static size_t one_byte(char * text, size_t n) {
    const bool is_hex = n == 6 && memcmp(text, "<0x", 3) == 0 && text[5] == '>';
    const int high = is_hex ? hex_digit(text[3]) : -1, low = is_hex ? hex_digit(text[4]) : -1;
    if (high < 0 || low < 0) { return n; }
    text[0] = (char) (high << 4 | low);
    return 1;
}

/* ---- tokenizers ---- */

/* Byte-level tokenizers by merges, except these, which write spaces as SentencePiece does. */
static bool writes_spaces(const char * pre) {
    return strcmp(pre, "gemma4") == 0 || strcmp(pre, "granite-embed-multi-311m") == 0 || strcmp(pre, "sarvam-moe") == 0;
}

/* Of normal tokens. NULL: an unknown tokenizer. */
static unescape unescape_of(const struct tat_gguf * gguf, const char * model) {
    static const struct {
        const char * model;
        unescape normal;
    } tokenizers[] = {
        { "gpt2", byte_level },       { "hybriddna", byte_level },  { "whitespace", byte_level },
        { "llama", sentence_piece },  { "bert", sentence_piece },   { "t5", sentence_piece },
        { "gemma4", sentence_piece }, { "rwkv", backslashes },      { "plamo2", as_it_is },
    };
    const char * pre = tat_gguf_string(tat_gguf_find_key(gguf, KEY("pre")));
    for (size_t i = 0; i < sizeof tokenizers / sizeof *tokenizers; i++) {
        if (strcmp(model, tokenizers[i].model) == 0) {
            return tokenizers[i].normal == byte_level && pre && writes_spaces(pre) ? sentence_piece
                                                                                   : tokenizers[i].normal;
        }
    }
    return NULL;
}

static bool is_control(uint8_t type) {
    return type == UNKNOWN || type == CONTROL;
}

/* RWKV and PLaMo write tokens of all types. */
static size_t undo(unescape normal, uint8_t type, char * text, size_t n) {
    if (type == BYTE && normal != backslashes) { return one_byte(text, n); }
    if (normal == backslashes || normal == as_it_is || type == NORMAL) { return normal(text, n); }
    return is_control(type) || type == USER_DEFINED ? n : 0;
}

static int read_all(struct token_pieces * p, const struct tat_gguf * gguf, unescape normal, struct tat_error * error) {
    p->texts = tat_gguf_read_strings(gguf, tat_gguf_find_key(gguf, KEY("tokens")), error);
    if (!p->texts) { return -1; }
    const uint64_t n = p->texts->n;
    p->bytes = calloc(n + 1, sizeof *p->bytes);
    p->types = malloc(n + 1);
    if (!p->bytes || !p->types) { return tat_fail(error, TAT_ERROR_SYSTEM, "no memory for the vocabulary"); }
    memset(p->types, NORMAL, n + 1);
    if (strings_read_small_numbers(gguf, tat_gguf_find_key(gguf, KEY("token_type")), p->types, n, error) != 0) {
        return -1;
    }
    for (uint64_t i = 0; i < n; i++) {
        char * text = (char *) p->texts->text + p->texts->start[i]; /* ours to change: it was made for us */
        p->bytes[i] = (uint32_t) undo(normal, p->types[i], text, p->texts->start[i + 1] - p->texts->start[i] - 1);
    }
    return 0;
}

struct token_pieces * token_pieces_read(const struct tat_gguf * gguf, struct tat_error * error) {
    const char * model = tat_gguf_string(tat_gguf_find_key(gguf, KEY("model")));
    const unescape normal = model ? unescape_of(gguf, model) : NULL;
    char shown[PRINTABLE_SIZE];
    if (!normal) {
        tat_fail(error, TAT_ERROR_INPUT, "%s: %s%s", input_path_end(gguf->files[0].path),
                 model ? "no tokenizer is known that is called " : "it has no vocabulary",
                 model ? input_printable(model, shown) : "");
        return NULL;
    }
    struct token_pieces * p = calloc(1, sizeof *p);
    if (!p) {
        tat_fail(error, TAT_ERROR_SYSTEM, "no memory for the vocabulary");
    } else if (read_all(p, gguf, normal, error) == 0) {
        return p;
    }
    token_pieces_free(p);
    return NULL;
}

void token_pieces_free(struct token_pieces * p) {
    if (!p) { return; }
    free(p->texts);
    free(p->bytes);
    free(p->types);
    free(p);
}

bool token_pieces_find(const struct token_pieces * p, int64_t id, struct token_piece * piece) {
    if (id < 0 || (uint64_t) id >= p->texts->n) { return false; }
    *piece = (struct token_piece){ p->texts->text + p->texts->start[id], p->bytes[id], is_control(p->types[id]) };
    return true;
}
