/* SPDX-License-Identifier: MIT
 *
 * Answers that took long to find, by what was asked. Thread-safe.
 */
#ifndef TAT_SERVE_KEPT_H
#define TAT_SERVE_KEPT_H

#include <stddef.h>

struct kept;

/* Keeps up to `most` bytes, those that were asked for last. NULL: no memory. */
struct kept * kept_new(size_t most);
void kept_free(struct kept * kept); /* NULL is allowed */

/* A copy of the answer, with a 0 behind it, for the caller to free; NULL: there is none, or no memory. */
char * kept_find(struct kept * kept, const char * question, size_t * bytes);

/* Keeps a copy, if there is memory. */
void kept_add(struct kept * kept, const char * question, const void * answer, size_t bytes);

/* Forgets all of them, as when the trace has grown. */
void kept_clear(struct kept * kept);

#endif
