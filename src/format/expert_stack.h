/* SPDX-License-Identifier: MIT
 *
 * What a node chooses experts from: MUL_MAT_ID has a stack of matrices, ADD_ID one of rows.
 */
#ifndef TAT_FORMAT_EXPERT_STACK_H
#define TAT_FORMAT_EXPERT_STACK_H

#include <string.h>

#include "tat/trace.h"

struct expert_stack {
    const struct tat_entry * e; /* NULL: the node chooses no expert */
    int dimension;
    uint64_t experts;
};

static inline struct expert_stack expert_stack_of(const struct tat_template * t, const struct tat_entry * node) {
    const bool biases = strcmp(node->op, "ADD_ID") == 0;
    const int dimension = biases ? 1 : 2;
    const uint32_t entry = node->src[biases ? 1 : 0];
    if ((!biases && strcmp(node->op, "MUL_MAT_ID") != 0) || entry == TAT_NO_ENTRY) {
        return (struct expert_stack){ 0 };
    }
    return (struct expert_stack){ &t->entries[entry], dimension, t->entries[entry].ne[dimension] };
}

#endif
