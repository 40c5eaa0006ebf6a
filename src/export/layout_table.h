/* SPDX-License-Identifier: MIT
 *
 * Numbers for the layouts of strided records, in the order in which they are met. 0 is none: contiguous.
 */
#ifndef TAT_EXPORT_LAYOUT_TABLE_H
#define TAT_EXPORT_LAYOUT_TABLE_H

#include "tat/trace.h"

struct layout_table {
    struct tat_layout * layouts; /* by number; the first is zeros */
    uint16_t * slots;            /* by hash: number, or 0 */
    uint32_t count;              /* of layouts, with the first; 0 before there is any */
};

/* The number, made if it is new; 0 where 65,535 are in use or memory is out. */
uint16_t layout_table_number(struct layout_table * table, struct tat_layout layout);
void layout_table_free(struct layout_table * table);

#endif
