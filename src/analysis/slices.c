/* SPDX-License-Identifier: MIT */
#include "analysis/slices.h"

#include <stdlib.h>

#include "format/expert_stack.h"

enum { SLICES_MAX = 1 << 22 }; /* far more than any model has; a hostile trace may ask for any number */

/* Sets how many slices each tensor has, in the place of its first slice. */
static void count_slices(struct slices * s, const struct subject * subject) {
    uint32_t * count = s->first + 1;
    uint64_t total = subject->n_tensors;
    for (uint32_t i = 0; i < subject->n_tensors; i++) {
        count[i] = subject->tensors[i].kind == TAT_TENSOR_WEIGHT && counts_once(subject, i);
    }
    for (uint32_t i = 0; i < subject->n_templates; i++) {
        const struct tat_template * t = &subject->templates[i];
        for (uint32_t n = 0; n < t->n_nodes; n++) {
            const struct expert_stack stack = expert_stack_of(t, &t->entries[t->n_leaves + n]);
            const uint32_t weight = stack.e ? subject->tensors[stack.e->tensor].weight : 0;
            if (stack.experts < 2 || count[weight] != 1) { continue; }
            if (stack.experts > TAT_NO_EXPERT || total + stack.experts > SLICES_MAX) {
                s->lumped++;
                continue;
            }
            count[weight] = (uint32_t) stack.experts;
            s->stacked = true;
            total += stack.experts;
        }
    }
}

bool slices_find(struct slices * s, const struct subject * subject) {
    *s = (struct slices){ 0 };
    s->first = calloc((size_t) subject->n_tensors + 2, sizeof *s->first);
    if (!s->first) { return false; }
    count_slices(s, subject);
    for (uint32_t i = 0; i < subject->n_tensors; i++) { s->first[i + 1] += s->first[i]; }
    s->count = s->first[subject->n_tensors];
    s->tensor = malloc(((size_t) s->count + 1) * sizeof *s->tensor);
    for (uint32_t i = 0; s->tensor && i < subject->n_tensors; i++) {
        for (uint32_t slice = s->first[i]; slice < s->first[i + 1]; slice++) { s->tensor[slice] = i; }
    }
    return s->tensor != NULL;
}

void slices_free(struct slices * s) {
    free(s->first);
    free(s->tensor);
}
