/* SPDX-License-Identifier: MIT */
#include "export/text_row.h"

#include <stdbool.h>

static const char replacement[] = "\xef\xbf\xbd"; /* U+FFFD */

/* Bytes of the UTF-8 character at `text`, or 0 if there is none: overlong, a surrogate, beyond Unicode, cut short. */
static size_t utf8_length(const unsigned char * text) {
    const unsigned char c = text[0];
    if (c < 0x80) { return 1; }
    const size_t length = c >= 0xc2 && c < 0xe0 ? 2 : c >= 0xe0 && c < 0xf0 ? 3 : c >= 0xf0 && c < 0xf5 ? 4 : 0;
    for (size_t i = 1; i < length; i++) {
        if ((text[i] & 0xc0) != 0x80) { return 0; }
    }
    if ((c == 0xe0 && text[1] < 0xa0) || (c == 0xed && text[1] >= 0xa0) || (c == 0xf0 && text[1] < 0x90) ||
        (c == 0xf4 && text[1] >= 0x90)) {
        return 0;
    }
    return length;
}

/* A terminal acts on them: C0, DEL, and C1 in UTF-8. */
static bool is_control(const unsigned char * at, size_t length) {
    return *at < 0x20 || *at == 0x7f || (length == 2 && at[0] == 0xc2 && at[1] < 0xa0);
}

/* Nothing in it but what the format takes as it is. */
static bool is_plain(const char * text, const char * special) {
    for (; *text; text++) {
        const unsigned char c = (unsigned char) *text;
        if (c < 0x20 || c >= 0x7f || c == (unsigned char) special[0] || c == (unsigned char) special[1]) {
            return false;
        }
    }
    return true;
}

/* How a format writes a character: one of `length` bytes, or a byte that is no UTF-8 (0). */
typedef void (*put_character)(struct text_out * out, const unsigned char * at, size_t length);

static void put_text(struct text_out * out, const char * text, put_character put) {
    for (const unsigned char * at = (const unsigned char *) text; *at;) {
        const size_t length = utf8_length(at);
        put(out, at, length);
        at += length ? length : 1;
    }
}

/* Cells that are no text. */
static void put_number(struct text_out * out, const struct cell * cell) {
    const bool minus = cell->kind == CELL_SIGNED && cell->negative < 0;
    if (cell->kind == CELL_EMPTY) { return; }
    if (minus) { text_out_char(out, '-'); }
    text_out_number(out, minus ? -cell->number : cell->number);
}

void row_names(struct text_out * out, const char * const * names, size_t count, char separator) {
    for (size_t i = 0; i < count; i++) {
        if (i) { text_out_char(out, separator); }
        text_out_string(out, names[i]);
    }
    text_out_char(out, '\n');
}

/* ---- CSV ---- */

static void csv_character(struct text_out * out, const unsigned char * at, size_t length) {
    if (length == 0) {
        text_out_string(out, replacement);
        return;
    }
    if (*at == '"') { text_out_char(out, '"'); }
    text_out_bytes(out, at, length);
}

void row_csv(struct text_out * out, const struct cell * cells, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (i) { text_out_char(out, ','); }
        if (cells[i].kind != CELL_TEXT) {
            put_number(out, &cells[i]);
        } else if (is_plain(cells[i].text, ",\"")) {
            text_out_string(out, cells[i].text);
        } else {
            text_out_char(out, '"');
            put_text(out, cells[i].text, csv_character);
            text_out_char(out, '"');
        }
    }
    text_out_char(out, '\n');
}

/* ---- TSV ---- */

static void visible_character(struct text_out * out, const unsigned char * at, size_t length) {
    if (length == 1 && *at == '\\') {
        text_out_string(out, "\\\\");
    } else if (length == 0 || is_control(at, length)) {
        for (size_t i = 0; i < (length ? length : 1); i++) {
            char escape[8];
            snprintf(escape, sizeof escape, "\\x%02x", at[i]);
            text_out_string(out, escape);
        }
    } else {
        text_out_bytes(out, at, length);
    }
}

void text_out_visible(struct text_out * out, const char * text) {
    if (is_plain(text, "\\\\")) {
        text_out_string(out, text);
    } else {
        put_text(out, text, visible_character);
    }
}

void row_tsv(struct text_out * out, const struct cell * cells, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (i) { text_out_char(out, '\t'); }
        if (cells[i].kind == CELL_TEXT) {
            text_out_visible(out, cells[i].text);
        } else {
            put_number(out, &cells[i]);
        }
    }
    text_out_char(out, '\n');
}

/* ---- JSON ---- */

static void json_character(struct text_out * out, const unsigned char * at, size_t length) {
    if (length == 0) {
        text_out_string(out, replacement);
    } else if (*at == '"' || *at == '\\') {
        text_out_char(out, '\\');
        text_out_char(out, (char) *at);
    } else if (is_control(at, length)) {
        char escape[8];
        snprintf(escape, sizeof escape, "\\u%04x", length == 2 ? at[1] : at[0]); /* C1: U+0080 is C2 80 */
        text_out_string(out, escape);
    } else {
        text_out_bytes(out, at, length);
    }
}

static void put_json(struct text_out * out, const struct cell * cell) {
    if (cell->kind == CELL_EMPTY) {
        text_out_string(out, "null");
    } else if (cell->kind == CELL_JSON) {
        text_out_string(out, cell->text);
    } else if (cell->kind != CELL_TEXT) {
        put_number(out, cell);
    } else {
        text_out_char(out, '"');
        if (is_plain(cell->text, "\"\\")) {
            text_out_string(out, cell->text);
        } else {
            put_text(out, cell->text, json_character);
        }
        text_out_char(out, '"');
    }
}

void row_json(struct text_out * out, const char * const * names, const struct cell * cells, size_t count) {
    for (size_t i = 0; i < count; i++) {
        text_out_string(out, i ? ",\"" : "{\"");
        text_out_string(out, names[i]);
        text_out_string(out, "\":");
        put_json(out, &cells[i]);
    }
    text_out_string(out, "}\n");
}
