/* SPDX-License-Identifier: MIT */
#include "format/list.h"

#include <stdlib.h>

enum { FIRST_CAPACITY = 64 };

bool list_reserve(struct list * list, size_t size, size_t more) {
    if (more > UINT32_MAX - list->count) { return false; }
    const uint64_t wanted   = list->count + (uint64_t) more;
    uint64_t       capacity = list->capacity ? list->capacity : FIRST_CAPACITY;
    while (capacity < wanted) { capacity *= 2; }
    if (capacity > UINT32_MAX) { capacity = UINT32_MAX; }
    void * bigger = reallocarray(list->data, capacity, size);
    if (!bigger) { return false; }
    list->data     = bigger;
    list->capacity = (uint32_t) capacity;
    return true;
}
