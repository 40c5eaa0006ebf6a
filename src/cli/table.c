/* SPDX-License-Identifier: MIT */
#include "cli/table.h"

#include <libsmartcols/libsmartcols.h>
#include <stdlib.h>

#include "cli/terminal.h"

struct table {
    struct libscols_table * scols;
    size_t columns;
    bool failed;
};

struct table * table_new(const struct column * columns, size_t count) {
    struct table * table = malloc(sizeof *table);
    if (!table) { return NULL; }
    *table = (struct table){ .scols = scols_new_table(), .columns = count };
    table->failed = !table->scols;
    for (size_t i = 0; i < count && !table->failed; i++) {
        const int flags = (columns[i].right ? SCOLS_FL_RIGHT : 0) | (columns[i].cut ? SCOLS_FL_TRUNC : 0);
        table->failed = !scols_table_new_column(table->scols, columns[i].name, 0, flags);
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

int table_print(struct table * table, FILE * out) {
    if (!table) { return -1; }
    bool failed = table->failed;
    if (!failed) {
        scols_table_set_stream(table->scols, out);
        failed = scols_print_table(table->scols) != 0;
    }
    scols_unref_table(table->scols);
    free(table);
    return failed ? -1 : 0;
}
