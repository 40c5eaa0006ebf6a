/* SPDX-License-Identifier: MIT
 *
 * Pieces of a model's mapping under other memory that holds the same bytes, and the file there again. Every address
 * holds the file's bytes at every moment: a change is one system call, which the kernel makes in one step.
 *
 * What is mapped is doubled from a mapping that exists already (mremap with an old size of 0), in place of mapped from
 * a descriptor. So it has that mapping's flags from its first moment on: what covers the file is not inherited by a
 * fork, not even by one that no handler sees and that comes at the worst time. There is a hole in such a child until
 * cover_remove_all, and never another piece's bytes. And the file comes back without a descriptor, whose number the
 * program might have closed and used again.
 */
#ifndef TAT_MANAGE_COVER_H
#define TAT_MANAGE_COVER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "manage/pool.h"

/* A mapping of a model's file as the program made it: to be read only, shared, not locked. */
struct mapped_file {
    char * at;       /* of its first page */
    uint64_t bytes;  /* whole pages */
    uint64_t offset; /* in the file, of a page */
    int fd;          /* of the same file, or -1 */
    int protection;
    bool is_shared; /* or private */

    /* What cover_begin adds. */
    char * again; /* the same pages of the file, elsewhere */
    dev_t device; /* the file that `fd` was */
    ino_t inode;
};

/* The kernel reads nothing ahead in the mapping from now on, and drops what it holds of the file as far as nobody else
 * uses it. False, with errno (ENOTSUP: such a mapping cannot be covered): nothing may be done with the file. */
bool cover_begin(struct mapped_file * file);

/* Puts pages of the pool over `pages` pages at `at`, from page `skip` of the place on, and makes them present. False,
 * with errno (ENOMEM: too many mappings): the file is there, or a part is covered, which cover_remove undoes. */
bool cover_put(const struct mapped_file * file, char * at, uint32_t pages, const struct pool * pool,
               const struct pool_place * place, uint32_t skip);

/* The file again. False, with errno: what was there still is, and has to stay as it is. */
bool cover_remove(const struct mapped_file * file, char * at, uint32_t pages);

/* The file over all of its mapping, in the child of a fork too: one system call, nothing allocated. */
bool cover_remove_all(const struct mapped_file * file);

/* The kernel reads ahead again. Only behind cover_remove_all, and also in the child of a fork. */
void cover_end(struct mapped_file * file);

#endif
