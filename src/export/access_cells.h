/* SPDX-License-Identifier: MIT
 *
 * An access record as the columns that all text formats share. doc/format.md says what they mean.
 */
#ifndef TAT_EXPORT_ACCESS_CELLS_H
#define TAT_EXPORT_ACCESS_CELLS_H

#include "export/text_row.h"
#include "tat/trace.h"

enum access_column {
    COLUMN_START_NS,
    COLUMN_DURATION_NS,
    COLUMN_GRAPH,
    COLUMN_NODE,
    COLUMN_TOKEN,
    COLUMN_TOKENS,
    COLUMN_PHASE,
    COLUMN_CONTEXT,
    COLUMN_LAYER,
    COLUMN_OP,
    COLUMN_OPERAND,
    COLUMN_TENSOR_ID,
    COLUMN_TENSOR,
    COLUMN_MODEL,
    COLUMN_COMPONENT,
    COLUMN_ROLE,
    COLUMN_EXPERT,
    COLUMN_HEAD,
    COLUMN_OFFSET,
    COLUMN_SIZE,
    COLUMN_STRIDE,
    COLUMN_COUNT,
    COLUMN_ACCESS,
    COLUMN_MEMORY,
    ACCESS_COLUMNS
};

extern const char * const access_columns[ACCESS_COLUMNS]; /* their names */

/* Names of the numbers in a record; "" for one that has none. */
const char * access_operand_name(unsigned operand);
const char * access_role_name(unsigned role);
const char * access_memory_name(unsigned memory);

static inline enum tat_phase access_phase(const struct tat_access * a) {
    return (enum tat_phase)(a->flags >> TAT_ACCESS_PHASE_SHIFT & 7);
}

/* What the cells of a trace's records are looked up in. */
struct access_context {
    const struct tat_trace * trace;
    const struct tat_tensor * tensors;
    const struct tat_evaluation * evaluations;
    const struct tat_model_file * files;
    uint32_t n_files;
};
struct access_context access_context_of(const struct tat_trace * trace);

#define ACCESS_SCRATCH 16 /* bytes for a text that has to be made: "0-15" */

/* `layout` is the record's own, or that of a part of it. Texts live as long as the trace and the scratch. */
void access_cells(const struct access_context * context, const struct tat_access * a, struct tat_layout layout,
                  struct cell cells[static ACCESS_COLUMNS], char scratch[static ACCESS_SCRATCH]);

#endif
