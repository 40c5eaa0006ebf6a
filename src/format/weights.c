/* SPDX-License-Identifier: MIT
 *
 * Which tensors are one weight: a model that was loaded twice, or a weight that is mapped for one use and repacked for
 * another, has several tensors with one place in one file.
 */
#include <stdlib.h>
#include <string.h>

#include "format/trace.h"

static int by_place(const void * a, const void * b, void * user) {
    const struct tat_tensor * tensors = user;
    const uint32_t i = *(const uint32_t *) a, j = *(const uint32_t *) b;
    const struct tat_tensor *x = &tensors[i], *y = &tensors[j];
    const uint64_t place[] = { x->file, x->file_offset, x->bytes, x->type };
    const uint64_t other[] = { y->file, y->file_offset, y->bytes, y->type };
    for (size_t k = 0; k < sizeof place / sizeof place[0]; k++) {
        if (place[k] != other[k]) { return place[k] < other[k] ? -1 : 1; }
    }
    const int order = strcmp(x->name, y->name);
    return order ? order : (i > j) - (i < j);
}

static bool are_one(const struct tat_tensor * x, const struct tat_tensor * y) {
    return x->file == y->file && x->file_offset == y->file_offset && x->bytes == y->bytes && x->type == y->type &&
           strcmp(x->name, y->name) == 0;
}

bool weights_build(struct tat_trace * trace) {
    struct tat_tensor * tensors = LIST(struct tat_tensor, trace->tensors);
    const uint32_t n = trace->tensors.count;
    uint32_t * sorted = malloc(((size_t) n + 1) * sizeof *sorted);
    uint32_t count = 0;
    if (!sorted) { return false; }
    for (uint32_t i = 0; i < n; i++) {
        tensors[i].weight = i;
        if (tensors[i].kind == TAT_TENSOR_WEIGHT && tensors[i].file) { sorted[count++] = i; }
    }
    if (count) { qsort_r(sorted, count, sizeof *sorted, by_place, tensors); }
    for (uint32_t i = 1; i < count; i++) {
        const struct tat_tensor * before = &tensors[sorted[i - 1]];
        if (are_one(before, &tensors[sorted[i]])) { tensors[sorted[i]].weight = before->weight; }
    }
    free(sorted);
    return true;
}
