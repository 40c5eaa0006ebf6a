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
    uint64_t at; /* where in the file the first of the bytes is */
    int error;   /* errno of a failed read, or ENOMEM; 0: what could not be read lies beyond the file's end */
};

/* The bytes [at, at + count) of the file, valid until the next call. NULL: they could not be read. A call that goes on
 * where the last one ended, or soon after it, finds more of them read already. */
const uint8_t * window_get(struct window * w, uint64_t at, size_t count);

/* Forgets what was read, because the file may have changed. */
void window_forget(struct window * w);

void window_free(struct window * w);

/* Where data begins at or after `at`, in a multiple of 8, since files may have holes; `end` if there is none before
 * it. */
uint64_t window_skip_hole(const struct window * w, uint64_t at, uint64_t end);

#endif
