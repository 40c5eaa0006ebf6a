/* SPDX-License-Identifier: MIT
 *
 * Rows of cells as text. Names come from files and may be any bytes: each format escapes what would break it. What is
 * no UTF-8 becomes U+FFFD in CSV and JSON, and is escaped in what is for the eye.
 */
#ifndef TAT_EXPORT_TEXT_ROW_H
#define TAT_EXPORT_TEXT_ROW_H

#include <stddef.h>

#include "export/text_out.h"

struct cell {
    enum { CELL_EMPTY, CELL_NUMBER, CELL_SIGNED, CELL_TEXT, CELL_JSON } kind; /* the last: text that is JSON */
    union {
        uint64_t number;
        int64_t negative; /* CELL_SIGNED */
        const char * text;
    };
};

static inline struct cell cell_number(uint64_t number) {
    return (struct cell){ .kind = CELL_NUMBER, .number = number };
}
static inline struct cell cell_signed(int64_t number) {
    return (struct cell){ .kind = CELL_SIGNED, .negative = number };
}
/* Empty if the text is. It is not copied. */
static inline struct cell cell_text(const char * text) {
    return *text ? (struct cell){ .kind = CELL_TEXT, .text = text } : (struct cell){ .kind = CELL_EMPTY };
}

/* A line each. CSV: RFC 4180, but lines end with LF. TSV: tabs, control characters and backslashes as \x1b and \\.
 * JSON: an object, null where a cell is empty. */
void row_csv(struct text_out * out, const struct cell * cells, size_t count);
void row_tsv(struct text_out * out, const struct cell * cells, size_t count);
void row_json(struct text_out * out, const char * const * names, const struct cell * cells, size_t count);

/* The names of columns as a line; they need no escape. */
void row_names(struct text_out * out, const char * const * names, size_t count, char separator);

/* As in TSV: safe on a terminal. */
void text_out_visible(struct text_out * out, const char * text);

#endif
