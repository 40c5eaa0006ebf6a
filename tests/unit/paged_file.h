/* SPDX-License-Identifier: MIT
 *
 * A file of which each word tells where it stands, so that any piece can be checked without another copy.
 */
#ifndef TAT_TESTS_PAGED_FILE_H
#define TAT_TESTS_PAGED_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PAGE = 4096,         /* of the tests; a multiple of no page that is larger */
    PATIENCE_MS = 60000, /* how long a test waits for what is to be: on a busy machine it may be late */
};

/* Writes the bytes that belong at the offset, a multiple of 8. */
void paged_fill(char * at, uint64_t offset, size_t bytes);
bool paged_is_right(const char * at, uint64_t offset, size_t bytes);

/* A file without a name, in a folder on a disk if there is one. Returns its descriptor; `direct`: another one, past the
 * page cache if that can be. */
int paged_file(size_t bytes, int * direct);

#endif
