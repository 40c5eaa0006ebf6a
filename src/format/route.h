/* SPDX-License-Identifier: MIT
 *
 * What captures tell of routing: which of an evaluation's rows a router's row is, and which gates belong to which
 * choice. For whoever walks over the captures of an evaluation in order.
 */
#ifndef TAT_FORMAT_ROUTE_H
#define TAT_FORMAT_ROUTE_H

#include "format/list.h"
#include "tat/trace.h"

enum route_event {
    ROUTE_NOTHING,
    ROUTE_CHOICE, /* the values are ids of experts, [row][slot] */
    ROUTE_GATES,  /* the values are gates, bits of floats, of the choice before them, for each of its ids */
};

/* Begins zeroed, and again with route_begin for each evaluation. */
struct route {
    const struct tat_template * t;
    const struct tat_tensor * tensors;
    struct list
        outputs;    /* uint32_t: the rows whose output is asked for, once they were picked; TAT_NO_ROW: no such row */
    uint16_t layer; /* of the choice; or TAT_NO_LAYER */
    uint64_t slots; /* of a row of it; 0: it makes no sense */
    size_t rows, count; /* of it; its ids */
    bool gated, failed; /* it has its gates; memory */
};

void route_begin(struct route * r, const struct tat_template * t, const struct tat_tensor * tensors);
enum route_event route_feed(struct route * r, uint32_t capture, const int64_t * values, size_t count);
void route_free(struct route * r);

/* Which of the evaluation's rows a row of the choice is, or TAT_NO_ROW. A layer routes all of them, or those whose
 * output is asked for, as the last layer does. */
uint32_t route_row(const struct route * r, size_t row);

#endif
