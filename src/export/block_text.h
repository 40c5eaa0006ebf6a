/* SPDX-License-Identifier: MIT
 *
 * The blocks of a trace and the graph of an evaluation as text, for whoever wants to see the trace itself.
 */
#ifndef TAT_EXPORT_BLOCK_TEXT_H
#define TAT_EXPORT_BLOCK_TEXT_H

#include <stdio.h>

#include "tat/trace.h"

enum text_format { TEXT_TABLE, TEXT_TSV, TEXT_JSON };

/* A line a block: offset, type, bytes, and the fields its payload begins with. 0, or -1 with *error. */
int blocks_text(const struct tat_trace * trace, enum text_format format, FILE * out, struct tat_error * error);

/* A line a leaf or node of an evaluation's graph, sources by number. 0, or -1 with *error: TAT_ERROR_NO if there is no
 * such evaluation. */
int graph_text(const struct tat_trace * trace, uint32_t evaluation, enum text_format format, FILE * out,
               struct tat_error * error);

#endif
