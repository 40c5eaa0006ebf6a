/* SPDX-License-Identifier: MIT
 *
 * A hash table from names to positions in an array whose elements begin with a `const char *`. The array belongs to the
 * caller and may move between calls.
 */
#ifndef TAT_GGUF_NAME_INDEX_H
#define TAT_GGUF_NAME_INDEX_H

#include <stddef.h>
#include <stdint.h>

#define NAME_INDEX_NONE UINT32_MAX

struct name_index {
    struct name_slot * slots; /* zeroed: empty */
    uint32_t capacity;
    size_t stride; /* bytes of an element of the array */
};

/* Makes room for `count` names in all, at most 2^30. Negative: no memory. */
int name_index_reserve(struct name_index * index, size_t stride, uint32_t count);
void name_index_free(struct name_index * index);

enum name_index_result {
    NAME_INDEX_ADDED,
    NAME_INDEX_DUPLICATE,
    NAME_INDEX_CROWDED, /* the names were made to collide */
};

/* Adds array[position]. Room must have been reserved. */
enum name_index_result name_index_add(struct name_index * index, const void * array, uint32_t position);
/* Position, or NAME_INDEX_NONE. */
uint32_t name_index_find(const struct name_index * index, const void * array, const char * name);

#endif
