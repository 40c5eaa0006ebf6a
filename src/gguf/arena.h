/* SPDX-License-Identifier: MIT
 *
 * Memory that is only ever freed as a whole: names, paths, metadata.
 */
#ifndef TAT_GGUF_ARENA_H
#define TAT_GGUF_ARENA_H

#include <stddef.h>

struct arena_block;

struct arena {
    struct arena_block * newest; /* zeroed: empty */
};

/* Aligned for any type. NULL: no memory. */
void * arena_alloc(struct arena * arena, size_t size);
/* A NUL-terminated copy. */
char * arena_string(struct arena * arena, const char * text, size_t length);
void arena_free(struct arena * arena);

#endif
