/* SPDX-License-Identifier: MIT
 *
 * Output of millions of small pieces: printf is too slow for that. A failed write is kept, and ends all further ones.
 */
#ifndef TAT_EXPORT_TEXT_OUT_H
#define TAT_EXPORT_TEXT_OUT_H

#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { TEXT_OUT_BYTES = 1 << 16 };

struct text_out {
    FILE * file;
    size_t used;
    int error; /* errno of the first write that failed, or 0 */
    char bytes[TEXT_OUT_BYTES];
};

/* `file` stays the caller's. */
void text_out_begin(struct text_out * out, FILE * file);

/* Passes everything on to the system. Returns out->error. */
int text_out_end(struct text_out * out);

void text_out_flush(struct text_out * out);
void text_out_bytes(struct text_out * out, const void * bytes, size_t count);
void text_out_number(struct text_out * out, uint64_t number);

static inline void text_out_char(struct text_out * out, char c) {
    if (out->used == TEXT_OUT_BYTES) { text_out_flush(out); }
    out->bytes[out->used++] = c;
}

static inline void text_out_string(struct text_out * out, const char * string) {
    text_out_bytes(out, string, strlen(string));
}

#endif
