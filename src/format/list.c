/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "format/trace.h"

void * list_add(struct list * list, size_t size) {
    if (list->count == list->capacity) {
        const uint32_t more   = list->capacity ? list->capacity * 2 : 64;
        void *         bigger = more > list->capacity ? realloc(list->data, (size_t) more * size) : NULL;
        if (!bigger) { return NULL; }
        list->data     = bigger;
        list->capacity = more;
    }
    return memset((char *) list->data + (size_t) list->count++ * size, 0, size);
}
