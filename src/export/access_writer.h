/* SPDX-License-Identifier: MIT
 *
 * Access records in a format of one's choice, as a stream. A format is a table of functions.
 */
#ifndef TAT_EXPORT_ACCESS_WRITER_H
#define TAT_EXPORT_ACCESS_WRITER_H

#include <stdio.h>

#include "export/access_cells.h"
#include "export/layout_table.h"
#include "format/access_heads.h"

struct access_writer;

struct access_format {
    const char * name;
    void (*begin)(struct access_writer * w); /* before the first record; NULL: nothing stands there */
    void (*record)(struct access_writer * w, const struct tat_access * a, struct tat_layout layout);
    void (*end)(struct access_writer * w); /* after the last record, if there was one; NULL: nothing stands there */
};

extern const struct access_format access_csv;
extern const struct access_format access_tsv;
extern const struct access_format access_jsonl;
extern const struct access_format access_bin;      /* struct tat_access, one after the other */
extern const struct access_format access_perfetto; /* for ui.perfetto.dev */

struct access_writer {
    const struct access_format * format;
    struct access_context context;
    const char * name; /* of the file, for messages */
    struct text_out out;
    uint64_t count;                    /* records written */
    uint32_t evaluation, node;         /* of the last one, for formats that group */
    struct layout_table layouts;       /* of access_bin */
    const struct access_heads * heads; /* to say which heads belong together; NULL: not said */
    struct perfetto * perfetto;        /* of access_perfetto */
};

/* The writer must stay where it is. `out` stays the caller's, and must live until access_writer_end, as must its name.
 * Nothing is written before the first record. */
void access_writer_begin(struct access_writer * w, const struct access_format * format, const struct tat_trace * trace,
                         FILE * out, const char * name);

/* One record; `layout` counts where it is strided. False once writing failed. */
bool access_writer_put(struct access_writer * w, const struct tat_access * a, struct tat_layout layout);

/* Writes what is left. 0, or -1 with *error. In both cases to be followed by access_writer_free. */
int access_writer_end(struct access_writer * w, struct tat_error * error);
void access_writer_free(struct access_writer * w);

/* What a program needs to read the records of access_bin that were written: see doc/format.md. 0, or -1 with *error. */
int access_bin_describe(const struct access_writer * w, FILE * out, struct tat_error * error);

#endif
