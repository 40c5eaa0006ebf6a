/* SPDX-License-Identifier: MIT */
#include "cli/table.h"

#include <libsmartcols/libsmartcols.h>
#include <stdlib.h>
#include <string.h>

#include "cli/terminal.h"

struct table {
    struct libscols_table * scols;
    size_t columns;
    const struct column * column; /* the caller's */
    bool wrap;                    /* the last column */
    bool failed;
};

struct table * table_new(const struct column * columns, size_t count) {
    struct table * table = malloc(sizeof *table);
    if (!table) { return NULL; }
    *table = (struct table){ .scols = scols_new_table(), .columns = count, .column = columns };
    table->failed = !table->scols;
    for (size_t i = 0; i < count && !table->failed; i++) {
        const int flags = (columns[i].right ? SCOLS_FL_RIGHT : 0) | (columns[i].cut ? SCOLS_FL_TRUNC : 0);
        table->failed = !scols_table_new_column(table->scols, columns[i].name, 0, flags);
        table->wrap |= columns[i].wrap;
    }
    return table;
}

void table_row(struct table * table, const char * const * cells) {
    if (!table || table->failed) { return; }
    struct libscols_line * line = scols_table_new_line(table->scols, NULL);
    table->failed = !line;
    for (size_t i = 0; i < table->columns && !table->failed; i++) {
        table->failed = cells[i] && scols_line_set_data(line, i, cells[i]) != 0;
    }
}

/* ---- breaking between words ---- */

/* A character of several bytes takes one column. */
static size_t width_of(const char * text) {
    size_t width = 0;
    for (; text && *text; text++) { width += ((unsigned char) *text & 0xc0) != 0x80; }
    return width;
}

static struct libscols_cell * cell_at(const struct table * table, size_t line, size_t column) {
    return scols_line_get_cell(scols_table_get_line(table->scols, line), column);
}

static size_t width_of_column(const struct table * table, size_t column) {
    struct libscols_column * head = scols_table_get_column(table->scols, column);
    size_t widest = width_of(scols_cell_get_data(scols_column_get_header(head)));
    for (size_t i = 0; i < scols_table_get_nlines(table->scols); i++) {
        const size_t width = width_of(scols_cell_get_data(cell_at(table, i, column)));
        if (width > widest) { widest = width; }
    }
    return widest;
}

static void break_text(char * text, size_t room) {
    char * space = NULL; /* the last on this line */
    for (size_t used = 0; *text; text++) {
        used += ((unsigned char) *text & 0xc0) != 0x80;
        if (*text == '\n') { *text = '?'; } /* of a name */
        if (*text == ' ') { space = text; }
        if (used <= room || !space) { continue; }
        *space = '\n';
        text = space;
        space = NULL;
        used = 0;
    }
}

static bool break_last_column(const struct table * table, size_t columns) {
    enum { LEAST = 20 };
    struct libscols_column * last = scols_table_get_column(table->scols, table->columns - 1);
    size_t before = 0;
    for (size_t i = 0; i + 1 < table->columns; i++) { before += width_of_column(table, i) + 1; }
    if (columns < before + LEAST) { return true; }
    if (scols_column_set_flags(last, SCOLS_FL_WRAP) != 0 || scols_column_set_safechars(last, "\n") != 0 ||
        scols_column_set_wrapfunc(last, scols_wrapnl_chunksize, scols_wrapnl_nextchunk, NULL) != 0) {
        return false;
    }
    for (size_t i = 0; i < scols_table_get_nlines(table->scols); i++) {
        struct libscols_cell * cell = cell_at(table, i, table->columns - 1);
        char * text = scols_cell_get_data(cell) ? strdup(scols_cell_get_data(cell)) : NULL;
        if (!text) { continue; }
        break_text(text, columns - before);
        const bool good = scols_cell_set_data(cell, text) == 0;
        free(text);
        if (!good) { return false; }
    }
    return true;
}

/* ---- columns that can be spared ---- */

static void leave_out_columns(const struct table * table, size_t room) {
    size_t width = table->columns - 1; /* spaces between them */
    for (size_t i = 0; i < table->columns; i++) { width += width_of_column(table, i); }
    for (size_t i = table->columns; i-- > 0 && width > room;) {
        if (!table->column[i].spare) { continue; }
        struct libscols_column * column = scols_table_get_column(table->scols, i);
        if (scols_column_set_flags(column, scols_column_get_flags(column) | SCOLS_FL_HIDDEN) != 0) { return; }
        width -= width_of_column(table, i) + 1;
    }
}

int table_print(struct table * table, FILE * out) {
    if (!table) { return -1; }
    bool failed = table->failed;
    if (!failed && terminal_is(out)) { leave_out_columns(table, terminal_width(out)); }
    if (!failed && table->wrap && terminal_is(out)) { failed = !break_last_column(table, terminal_width(out)); }
    if (!failed) {
        scols_table_set_stream(table->scols, out);
        if (terminal_is(out)) { /* also behind a pager, which libsmartcols does not know of */
            scols_table_set_termforce(table->scols, SCOLS_TERMFORCE_ALWAYS);
            scols_table_set_termwidth(table->scols, terminal_width(out));
        }
        failed = scols_print_table(table->scols) != 0;
    }
    scols_unref_table(table->scols);
    free(table);
    return failed ? -1 : 0;
}
