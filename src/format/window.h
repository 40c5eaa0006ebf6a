/* SPDX-License-Identifier: MIT
 *
 * A file, read piece by piece into memory of the reader's own. A mapping would be shorter, but whoever cuts the file
 * ends the program that reads through one (SIGBUS); here it is an error. And what was read does not change afterwards.
 */
#ifndef TAT_FORMAT_WINDOW_H
#define TAT_FORMAT_WINDOW_H

#include <stddef.h>
#include <stdint.h>

struct window {
    int fd; /* the caller's */
    uint8_t * bytes;
    size_t capacity, count;
    uint64_t at; /* in the file: of the first of the bytes */
    int error;   /* errno of a read that failed, ENOMEM; else 0: what could not be read is behind the file's end */
};

/* The bytes [at, at + count) of the file, until the next call; NULL where they could not be read. Who goes on where the
 * last call ended, or soon behind it, finds more of them read already. */
const uint8_t * window_get(struct window * w, uint64_t at, size_t count);

/* The file may have changed: read anew. */
void window_forget(struct window * w);

void window_free(struct window * w);

/* Where data begins at or behind `at`, in a multiple of 8: files may have holes. `end` where there is none before. */
uint64_t window_skip_hole(const struct window * w, uint64_t at, uint64_t end);

#endif
