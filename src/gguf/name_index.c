/* SPDX-License-Identifier: MIT
 *
 * Open addressing, at most half full. XXH64 is fast but can be made to collide: a search that takes longer than chance
 * allows is given up, so that a crafted file cannot make opening quadratic.
 */
#include "gguf/name_index.h"

#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define MAX_PROBES 1024

struct name_slot {
    uint32_t hash;
    uint32_t number; /* position + 1; 0: free */
};

static uint32_t hash_of(const char * name) {
    return (uint32_t) XXH64(name, strlen(name), 0);
}

static const char * name_at(const struct name_index * index, const void * array, uint32_t position) {
    return *(const char * const *) ((const char *) array + position * index->stride);
}

static void move_slot(struct name_index * index, struct name_slot slot) {
    uint32_t i = slot.hash & (index->capacity - 1);
    while (index->slots[i].number) { i = (i + 1) & (index->capacity - 1); }
    index->slots[i] = slot;
}

int name_index_reserve(struct name_index * index, size_t stride, uint32_t count) {
    uint32_t capacity = 16;
    while (capacity < 2 * count) { capacity *= 2; }
    index->stride = stride;
    if (capacity <= index->capacity) { return 0; }
    struct name_index larger = { calloc(capacity, sizeof *larger.slots), capacity, stride };
    if (!larger.slots) { return -1; }
    for (uint32_t i = 0; i < index->capacity; i++) {
        if (index->slots[i].number) { move_slot(&larger, index->slots[i]); }
    }
    free(index->slots);
    *index = larger;
    return 0;
}

void name_index_free(struct name_index * index) {
    free(index->slots);
    *index = (struct name_index){ 0 };
}

/* The slot that holds `name`, or the free one where it belongs. NULL: neither is near. */
static struct name_slot * seek(const struct name_index * index, const void * array, const char * name, uint32_t hash) {
    for (uint32_t probe = 0; probe < MAX_PROBES; probe++) {
        struct name_slot * slot = &index->slots[(hash + probe) & (index->capacity - 1)];
        if (!slot->number) { return slot; }
        if (slot->hash == hash && strcmp(name_at(index, array, slot->number - 1), name) == 0) { return slot; }
    }
    return NULL;
}

enum name_index_result name_index_add(struct name_index * index, const void * array, uint32_t position) {
    const char * name = name_at(index, array, position);
    const uint32_t hash = hash_of(name);
    struct name_slot * slot = seek(index, array, name, hash);
    if (!slot) { return NAME_INDEX_CROWDED; }
    if (slot->number) { return NAME_INDEX_DUPLICATE; }
    *slot = (struct name_slot){ hash, position + 1 };
    return NAME_INDEX_ADDED;
}

uint32_t name_index_find(const struct name_index * index, const void * array, const char * name) {
    if (!index->capacity) { return NAME_INDEX_NONE; }
    const struct name_slot * slot = seek(index, array, name, hash_of(name));
    return slot && slot->number ? slot->number - 1 : NAME_INDEX_NONE;
}
