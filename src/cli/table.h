/* SPDX-License-Identifier: MIT
 *
 * Tables of text, aligned by libsmartcols; control characters in cells are escaped.
 */
#ifndef TAT_CLI_TABLE_H
#define TAT_CLI_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct column {
    const char * name;
    bool right; /* numbers */
    bool cut;   /* may be cut where the terminal is too narrow */
    bool spare; /* left out where the terminal is too narrow, the last of them first */
    bool wrap;  /* the last column: broken between words where the terminal is too narrow */
};

struct table;

/* `columns` must live until the table is printed. The calls between table_new and table_print need no check: what
 * failed is kept until table_print says so. */
struct table * table_new(const struct column * columns, size_t count);

/* A row of as many cells as there are columns. They are copied; NULL is an empty cell. */
void table_row(struct table * table, const char * const * cells);

/* Prints and frees. 0, or -1 if memory ran out. */
int table_print(struct table * table, FILE * out);

#endif
