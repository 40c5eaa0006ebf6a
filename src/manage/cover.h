/* SPDX-License-Identifier: MIT
 *
 * Covers pieces of a model's mapping with other memory that holds the same bytes, and puts the file back. Every address
 * holds the file's bytes at every moment: a change is one system call, which other threads see as one step.
 *
 * What covers the file is a double of a mapping that exists already (mremap with an old size of 0), not a new mapping
 * of a descriptor. It has that mapping's flags from its first moment on, so no fork ever inherits it, even one that no
 * handler sees and that comes at the worst time. Such a child has a hole there until cover_remove_all, and never the
 * bytes of another piece. The file comes back in the same way: no descriptor is needed, whose number the program might
 * have closed and reused.
 */
#ifndef TAT_MANAGE_COVER_H
#define TAT_MANAGE_COVER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "manage/pool.h"

/* A mapping of a model's file as the program made it: read-only, shared, not locked. */
struct mapped_file {
    char * at;       /* of its first page */
    uint64_t bytes;  /* whole pages */
    uint64_t offset; /* in the file, of a page */
    int fd;          /* of the same file, or -1 */
    int protection;
    bool is_shared; /* or private */
    int advice;     /* that the program gave the kernel: MADV_NORMAL or the like */

    /* Set by cover_begin. */
    char * again; /* a double of the mapping */
    dev_t device; /* of the file behind `fd` */
    ino_t inode;
};

/* Ends the kernel's read-ahead in the mapping, and drops the file's pages from the page cache unless others use them.
 * False, with errno (ENOTSUP: such a mapping cannot be covered): the file must be left alone. */
bool cover_begin(struct mapped_file * file);

/* Covers `pages` pages at `at` with the pool's, from page `skip` of the place on, and makes them present. False, with
 * errno (ENOMEM: too many mappings): a part may be covered; cover_remove undoes it. */
bool cover_put(const struct mapped_file * file, char * at, uint32_t pages, const struct pool * pool,
               const struct pool_place * place, uint32_t skip);

/* Puts the file back. False, with errno: what covers it is still there, and its memory must not be reused. */
bool cover_remove(const struct mapped_file * file, char * at, uint32_t pages);

/* Puts the file back over its whole mapping, also in the child of a fork: one system call, no allocation. */
bool cover_remove_all(const struct mapped_file * file);

/* Gives the kernel the advice again that the program gave it. Call it after cover_remove_all. */
void cover_end(struct mapped_file * file);

#endif
