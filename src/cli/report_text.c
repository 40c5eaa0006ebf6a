/* SPDX-License-Identifier: MIT */
#include "cli/report_text.h"

#include <ctype.h>
#include <langinfo.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/table.h"
#include "cli/terminal.h"
#include "cli/units.h"

enum { COLUMNS_MAX = 16, CELL = 256, HEADING = 64, TEXT_WIDTH_MAX = 100 };

static const char * text_of(const json_t * object, const char * key) {
    const char * text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

/* ---- running text ---- */

/* Names come from files: control characters, C1 ones in UTF-8 too, must not reach the terminal's ear. */
static void put_safe(const char * text, size_t bytes, FILE * out) {
    for (size_t i = 0; i < bytes; i++) {
        const unsigned char c = (unsigned char) text[i];
        const bool c1 = c == 0xc2 && (unsigned char) text[i + 1] >= 0x80 && (unsigned char) text[i + 1] < 0xa0;
        putc(c < 0x20 || c == 0x7f || c1 ? '?' : c, out);
        i += c1;
    }
}

/* The bytes of a word, with the unit where it is a number: "12.5 %" is never broken. */
static size_t word_bytes(const char * text) {
    static const char * const units[] = { "%", "B", "KiB", "MiB", "GiB", "TiB", "ns", "us", "ms", "s", "min", "h" };
    const size_t word = strcspn(text, " ");
    const char * next = text + word + strspn(text + word, " ");
    if (word == 0 || text[word - 1] < '0' || text[word - 1] > '9' || next != text + word + 1) { return word; }
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        const size_t unit = strlen(units[i]);
        if (strncmp(next, units[i], unit) == 0 && !isalnum((unsigned char) next[unit])) {
            return word + 1 + strcspn(next, " ");
        }
    }
    return word;
}

/* Broken between words where there is a terminal; the first line has `used` columns already. */
static void put_wrapped(const char * text, unsigned indent, unsigned used, FILE * out) {
    const unsigned terminal = terminal_width(out);
    const unsigned width = terminal < TEXT_WIDTH_MAX ? terminal : TEXT_WIDTH_MAX;
    for (bool first = true; *text; first = false) {
        const size_t word = word_bytes(text);
        if (!first && used + 1 + word > width) {
            fprintf(out, "\n%*s", (int) indent, "");
            used = indent;
        } else if (!first) {
            putc(' ', out);
            used++;
        }
        put_safe(text, word, out);
        used += (unsigned) word;
        text += word + strspn(text + word, " ");
    }
    putc('\n', out);
}

/* ---- table ---- */

double report_scale(const json_t * rows, const char * key) {
    double most = 0;
    size_t r, i;
    const json_t * row;
    const json_t * share;
    json_array_foreach(rows, r, row) {
        json_array_foreach(json_object_get(row, key), i, share) {
            if (json_number_value(share) > most) { most = json_number_value(share); }
        }
    }
    return most;
}

const char * report_mark(double part) {
    static const char * const bars[] = { "\u00b7", "\u2581", "\u2582", "\u2583", "\u2584",
                                         "\u2585", "\u2586", "\u2587", "\u2588" };
    static const char * const ascii[] = { ".", "1", "2", "3", "4", "5", "6", "7", "8" };
    const char * const * marks = strcmp(nl_langinfo(CODESET), "UTF-8") == 0 ? bars : ascii;
    return marks[!(part > 0) ? 0 : part >= 1 ? 8 : 1 + (int) (part * 8)];
}

/* A bar for each, from nothing to the scale. */
static void draw_shares(const json_t * shares, double scale, char cell[static CELL]) {
    size_t used = 0, i;
    const json_t * share;
    json_array_foreach(shares, i, share) {
        const char * mark = report_mark(scale > 0 ? json_number_value(share) / scale : 0);
        if (used + strlen(mark) + strlen("...") >= CELL) {
            strcpy(cell + used, "...");
            return;
        }
        used += (size_t) sprintf(cell + used, "%s", mark);
    }
}

/* A value in its unit, as enum unit of the analyses names them; a value that does not exist shows as "-". */
static void draw(const json_t * value, const char * unit, double scale, char cell[static CELL]) {
    const double real = json_number_value(value);
    const bool zero = real <= 0;
    char text[UNITS_SIZE];
    cell[0] = '\0';
    if (json_is_array(value)) {
        draw_shares(value, scale, cell);
    } else if (json_is_string(value)) {
        snprintf(cell, CELL, "%s", json_string_value(value));
    } else if (!json_is_number(value)) {
        return;
    } else if (strcmp(unit, "number") == 0) {
        snprintf(cell, CELL, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    } else if (strcmp(unit, "change") == 0) {
        snprintf(cell, CELL, "%s", fabs(real) < 0.0005 ? "-" : format_change(text, real));
    } else if (strcmp(unit, "correlation") == 0) {
        snprintf(cell, CELL, "%+.2f", real);
    } else if (strcmp(unit, "share") == 0 && real != 0) { /* a cache's saving may be below zero */
        format_share(cell, real);
    } else if (zero) {
        strcpy(cell, "-");
    } else if (strcmp(unit, "bytes") == 0) {
        format_bytes(cell, (uint64_t) (real + 0.5));
    } else if (strcmp(unit, "ns") == 0) {
        format_duration(cell, (uint64_t) (real + 0.5));
    } else if (strcmp(unit, "count") == 0) {
        format_count(cell, (uint64_t) (real + 0.5));
    } else if (strcmp(unit, "per_second") == 0) {
        format_rate(cell, real);
    } else if (strcmp(unit, "index") == 0) {
        snprintf(cell, CELL, "%.2f", real);
    } else {
        snprintf(cell, CELL, "%.1f", real);
    }
}

static int draw_table(const json_t * drawn, FILE * out) {
    const json_t * columns = json_object_get(drawn, "columns");
    const json_t * rows = json_object_get(drawn, "rows");
    const size_t n = json_array_size(columns) < COLUMNS_MAX ? json_array_size(columns) : COLUMNS_MAX;
    const char *keys[COLUMNS_MAX], *units[COLUMNS_MAX];
    double scales[COLUMNS_MAX];
    char headings[COLUMNS_MAX][HEADING];
    struct column head[COLUMNS_MAX];
    size_t r;
    const json_t * row;
    if (json_array_size(rows) == 0) { return 0; }
    for (size_t i = 0; i < n; i++) {
        const json_t * column = json_array_get(columns, i);
        keys[i] = text_of(column, "key");
        units[i] = text_of(column, "unit");
        scales[i] = strcmp(units[i], "shares") == 0 ? report_scale(rows, keys[i]) : 0;
        snprintf(headings[i], HEADING, "%s", text_of(column, "label"));
        for (char * c = headings[i]; *c; c++) { *c = (char) toupper((unsigned char) *c); }
        const bool is_text = strcmp(units[i], "text") == 0 || strcmp(units[i], "shares") == 0;
        head[i] = (struct column){ .name = headings[i], .right = !is_text };
    }
    struct table * table = table_new(head, n);
    json_array_foreach(rows, r, row) {
        char cells[COLUMNS_MAX][CELL];
        const char * line[COLUMNS_MAX];
        for (size_t i = 0; i < n; i++) {
            draw(json_object_get(row, keys[i]), units[i], scales[i], cells[i]);
            line[i] = cells[i];
        }
        table_row(table, line);
    }
    return table_print(table, out);
}

/* Titles stand over tables that have one. */
static int draw_tables(const json_t * section, bool asked, FILE * out) {
    const char * name;
    json_t * table;
    json_object_foreach(json_object_get(section, "tables"), name, table) {
        const char * show = text_of(table, "show");
        const char * title = text_of(table, "title");
        if (strcmp(show, "never") == 0 || (strcmp(show, "asked") == 0 && !asked)) { continue; }
        if (*title && json_array_size(json_object_get(table, "rows"))) { fprintf(out, "\n%s\n", title); }
        if (draw_table(table, out) != 0) { return -1; }
    }
    return 0;
}

/* ---- section ---- */

void report_answers(const json_t * section, FILE * out) {
    enum { INDENT = 2 };
    size_t i;
    const json_t * item;
    json_array_foreach(json_object_get(section, "answers"), i, item) {
        fputs(style(out, STYLE_BOLD), out);
        put_wrapped(text_of(item, "question"), 0, 0, out);
        fprintf(out, "%s%*s", style(out, STYLE_PLAIN), INDENT, "");
        put_wrapped(text_of(item, "answer"), INDENT, INDENT, out);
    }
}

/* Wide enough for all labels of a section, within reason. */
static int label_width(const json_t * lines) {
    enum { LEAST = 9, MOST = 24 };
    size_t width = LEAST, i;
    const json_t * item;
    json_array_foreach(lines, i, item) {
        const size_t length = strlen(text_of(item, "label"));
        if (length > width) { width = length; }
    }
    return width < MOST ? (int) width : MOST;
}

int report_text(const json_t * section, bool asked, FILE * out) {
    const json_t * lines = json_object_get(section, "lines");
    const int width = label_width(lines);
    size_t i;
    const json_t * item;
    fprintf(out, "%s%s%s\n", style(out, STYLE_BOLD), text_of(section, "title"), style(out, STYLE_PLAIN));
    put_wrapped(text_of(section, "headline"), 0, 0, out);
    json_array_foreach(lines, i, item) {
        fprintf(out, "  %-*s ", width, text_of(item, "label"));
        put_wrapped(text_of(item, "text"), (unsigned) width + 3, (unsigned) width + 3, out);
    }
    if (draw_tables(section, asked, out) != 0) { return -1; }
    json_array_foreach(json_object_get(section, "notes"), i, item) {
        fputs(style(out, STYLE_DIM), out);
        put_wrapped(json_string_value(item), 0, 0, out);
        fputs(style(out, STYLE_PLAIN), out);
    }
    return 0;
}

int report_sections(const json_t * answers, bool by_name, FILE * out) {
    const char * name;
    const json_t * section;
    bool first = true;
    json_object_foreach((json_t *) answers, name, section) {
        if (json_is_true(json_object_get(section, "absent")) && !by_name) { continue; }
        if (!first) { putc('\n', out); }
        if (report_text(section, by_name, out) != 0) { return -1; }
        first = false;
    }
    return 0;
}

static json_t * one_answer(const char * name, const json_t * section, const json_t * answer) {
    const json_t * model = json_object_get(json_object_get(section, "values"), "model");
    json_t * one = json_pack("{ss ss* ss*}", "section", name, "question", text_of(answer, "question"), "answer",
                             text_of(answer, "answer"));
    if (one && json_is_string(model)) { json_object_set(one, "model", (json_t *) model); }
    return one;
}

int report_answers_json(const json_t * answers, FILE * out) {
    const char * name;
    const json_t *section, *answer;
    size_t i;
    json_t * all = json_array();
    bool good = all != NULL;
    json_object_foreach((json_t *) answers, name, section) {
        json_array_foreach(json_object_get(section, "answers"), i, answer) {
            good = good && json_array_append_new(all, one_answer(name, section, answer)) == 0;
        }
    }
    const int status = good ? report_json(all, out) : -1;
    json_decref(all);
    return status;
}

int report_json(const json_t * answers, FILE * out) {
    return json_dumpf(answers, out, JSON_INDENT(2)) != 0 || putc('\n', out) < 0 ? -1 : 0;
}
