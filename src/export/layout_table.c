/* SPDX-License-Identifier: MIT */
#include "export/layout_table.h"

#include <stdlib.h>

enum { SLOTS = 1 << 17, LAYOUTS_MAX = UINT16_MAX }; /* at most half full */

static bool make_room(struct layout_table * t) {
    if (!t->slots) { t->slots = calloc(SLOTS, sizeof *t->slots); }
    if (!t->layouts) { t->layouts = calloc(LAYOUTS_MAX, sizeof *t->layouts); }
    if (!t->slots || !t->layouts) { return false; }
    if (t->count == 0) { t->count = 1; }
    return true;
}

uint16_t layout_table_number(struct layout_table * t, struct tat_layout layout) {
    if (!make_room(t)) { return 0; }
    const uint64_t hash = (layout.run_bytes * 0x9e3779b97f4a7c15u ^ layout.stride) * 0xff51afd7ed558ccdu;
    uint32_t at = (uint32_t) (hash >> 47);
    for (; t->slots[at]; at = (at + 1) % SLOTS) {
        const struct tat_layout * known = &t->layouts[t->slots[at]];
        if (known->run_bytes == layout.run_bytes && known->stride == layout.stride) { return t->slots[at]; }
    }
    if (t->count == LAYOUTS_MAX) { return 0; }
    t->layouts[t->count] = layout;
    t->slots[at] = (uint16_t) t->count;
    return (uint16_t) t->count++;
}

void layout_table_free(struct layout_table * t) {
    free(t->slots);
    free(t->layouts);
}
