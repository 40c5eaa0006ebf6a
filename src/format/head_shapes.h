/* SPDX-License-Identifier: MIT
 *
 * How many heads attention has, and how long they are, by layer and graph: read from the products it computes.
 */
#ifndef TAT_FORMAT_HEAD_SHAPES_H
#define TAT_FORMAT_HEAD_SHAPES_H

#include "tat/trace.h"

struct head_shape {
    uint32_t template_id;
    uint16_t layer;
    uint64_t n_head, n_head_kv;
    uint64_t k_size, v_size; /* elements of a head; 0: unknown */
    bool v_transposed;       /* in the cache: a row for each element, not for each token */
};

struct head_shapes {
    struct head_shape * shapes; /* sorted by template and layer */
    size_t count;
};

/* False: no memory. Free it in any case. */
bool head_shapes_find(struct head_shapes * all, const struct tat_trace * trace);
void head_shapes_free(struct head_shapes * all);

/* NULL: no attention was seen there. */
const struct head_shape * head_shape_at(const struct head_shapes * all, uint32_t template_id, uint16_t layer);

#endif
