/* SPDX-License-Identifier: MIT
 *
 * A growing array, which begins zeroed. Its elements move when it grows. All of it is here, as both objects of libtat.a
 * need it and hide their names from each other.
 */
#ifndef TAT_FORMAT_LIST_H
#define TAT_FORMAT_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { LIST_FIRST_CAPACITY = 64 };

struct list {
    void * data; /* free it */
    uint32_t count, capacity;
};

#define LIST(type_, list_) ((type_ *) (list_).data)

/* Makes room for `more` further elements. False: no memory, or more elements than 32 bits can count. */
static inline bool list_reserve(struct list * list, size_t size, size_t more) {
    if (more > UINT32_MAX - list->count) { return false; }
    const uint64_t wanted = list->count + (uint64_t) more;
    uint64_t capacity = list->capacity ? list->capacity : LIST_FIRST_CAPACITY;
    while (capacity < wanted) { capacity *= 2; }
    if (capacity > UINT32_MAX) { capacity = UINT32_MAX; }
    void * bigger = reallocarray(list->data, capacity, size);
    if (!bigger) { return false; }
    list->data = bigger;
    list->capacity = (uint32_t) capacity;
    return true;
}

/* Adds `more` elements side by side; the caller sets their contents. NULL: as above. */
static inline void * list_extend(struct list * list, size_t size, size_t more) {
    if (more > list->capacity - list->count && !list_reserve(list, size, more)) { return NULL; }
    void * first = (char *) list->data + (size_t) list->count * size;
    list->count += (uint32_t) more;
    return first;
}

/* Adds a zeroed element. NULL: as above. */
static inline void * list_add(struct list * list, size_t size) {
    void * element = list_extend(list, size, 1);
    return element ? memset(element, 0, size) : NULL;
}

#endif
