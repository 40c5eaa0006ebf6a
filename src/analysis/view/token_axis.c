/* SPDX-License-Identifier: MIT */
#include "analysis/view/token_axis.h"

#include <stdlib.h>

bool token_axis_begin(struct token_axis * axis, const struct subject * subject) {
    *axis = (struct token_axis){ .steps = malloc(((size_t) subject->n_evaluations + 1) * sizeof *axis->steps) };
    for (uint32_t i = 0; axis->steps && i < subject->n_evaluations; i++) {
        const struct tat_evaluation * e = &subject->evaluations[i];
        if (!is_inference(e->phase) || e->n_tokens > UINT32_MAX - axis->n_tokens) { continue; }
        if (e->n_tokens) {
            axis->steps[axis->n_steps++] = (struct token_step){ i, i, axis->n_tokens, e->n_tokens };
            axis->n_tokens += e->n_tokens;
        }
        if (axis->n_steps) { axis->steps[axis->n_steps - 1].end = i + 1; }
    }
    return axis->steps;
}

void token_axis_free(struct token_axis * axis) {
    free(axis->steps);
    *axis = (struct token_axis){ 0 };
}

uint32_t token_axis_find(const struct token_axis * axis, uint64_t token) {
    uint32_t low = 0, high = axis->n_steps;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if ((uint64_t) axis->steps[middle].first + axis->steps[middle].tokens <= token) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}
