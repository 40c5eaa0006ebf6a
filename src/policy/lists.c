/* SPDX-License-Identifier: MIT */
#include "policy/lists.h"

#include <stdlib.h>

bool lists_begin(struct lists * l, const struct policy_items * items, unsigned n) {
    *l = (struct lists){ .items = *items };
    l->link = malloc(((size_t) items->count + n) * sizeof *l->link);
    l->list = calloc((size_t) items->count + 1, sizeof *l->list);
    for (unsigned list = 1; list <= n && l->link; list++) {
        const uint32_t end = lists_end_of(l, list);
        l->link[end] = (struct link){ end, end };
    }
    return l->link && l->list;
}

void lists_end(struct lists * l) {
    free(l->link);
    free(l->list);
}
