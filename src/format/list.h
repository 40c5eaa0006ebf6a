/* SPDX-License-Identifier: MIT
 *
 * A growing array, which begins zeroed. Its elements move when it grows.
 */
#ifndef TAT_FORMAT_LIST_H
#define TAT_FORMAT_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct list {
    void *   data; /* free it */
    uint32_t count, capacity;
};

#define LIST(type_, list_) ((type_ *) (list_).data)

/* Room for `more` further elements. False: memory, or more of them than 32 bits count. */
bool list_reserve(struct list * list, size_t size, size_t more);

/* `more` new elements side by side, whose contents are the caller's to set; NULL as above. */
static inline void * list_extend(struct list * list, size_t size, size_t more) {
    if (more > list->capacity - list->count && !list_reserve(list, size, more)) { return NULL; }
    void * first = (char *) list->data + (size_t) list->count * size;
    list->count += (uint32_t) more;
    return first;
}

/* A new zeroed element; NULL as above. */
static inline void * list_add(struct list * list, size_t size) {
    void * element = list_extend(list, size, 1);
    return element ? memset(element, 0, size) : NULL;
}

#endif
