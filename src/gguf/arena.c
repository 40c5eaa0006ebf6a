/* SPDX-License-Identifier: MIT */
#include "gguf/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES 65536

struct arena_block {
    struct arena_block * older;
    size_t size;
    size_t used;
    alignas(max_align_t) unsigned char bytes[];
};

void * arena_alloc(struct arena * arena, size_t size) {
    const size_t align = alignof(max_align_t);
    if (size > SIZE_MAX - sizeof(struct arena_block) - align) { return NULL; }
    size = (size + align - 1) & ~(align - 1);
    struct arena_block * block = arena->newest;
    if (!block || block->size - block->used < size) {
        const size_t room = size > BLOCK_BYTES ? size : BLOCK_BYTES;
        block = malloc(sizeof *block + room);
        if (!block) { return NULL; }
        *block = (struct arena_block){ .older = arena->newest, .size = room };
        arena->newest = block;
    }
    void * memory = block->bytes + block->used;
    block->used += size;
    return memory;
}

char * arena_string(struct arena * arena, const char * text, size_t length) {
    char * copy = arena_alloc(arena, length + 1);
    if (!copy) { return NULL; }
    memcpy(copy, text, length);
    copy[length] = '\0';
    return copy;
}

void arena_free(struct arena * arena) {
    while (arena->newest) {
        struct arena_block * block = arena->newest;
        arena->newest = block->older;
        free(block);
    }
}
