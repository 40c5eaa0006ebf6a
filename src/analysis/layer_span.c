/* SPDX-License-Identifier: MIT */
#include "analysis/layer_span.h"

static uint32_t above(uint32_t span, uint16_t layer) {
    return layer != TAT_NO_LAYER && layer >= span ? layer + 1u : span;
}

uint32_t layer_span(const struct subject * subject) {
    uint32_t span = 0;
    for (uint32_t i = 0; i < subject->n_tensors; i++) { span = above(span, subject->tensors[i].layer); }
    for (uint32_t i = 0; i < subject->n_templates; i++) {
        const struct tat_template * t = &subject->templates[i];
        for (uint32_t e = 0; e < t->n_leaves + t->n_nodes; e++) { span = above(span, t->entries[e].layer); }
    }
    return span;
}
