/* SPDX-License-Identifier: MIT
 *
 * Pieces of a model's mapping under other memory that holds the same bytes, and the file there again. Every address
 * holds the file's bytes at every moment: a change is one mmap, which the kernel makes in one step. What covers the
 * file is not inherited by a fork, not even by one that no handler sees: there is a hole until cover_remove, and never
 * another piece's bytes.
 */
#ifndef TAT_MANAGE_COVER_H
#define TAT_MANAGE_COVER_H

#include <stdbool.h>
#include <stdint.h>

#include "manage/pool.h"

/* A mapping of a model's file as the program made it. */
struct mapped_file {
    char * at;       /* of its first page */
    uint64_t bytes;  /* whole pages */
    uint64_t offset; /* in the file, of a page */
    int fd;          /* of the same file, to map it again */
    int protection;
    bool is_shared; /* or private */
};

/* Maps pages of the pool over `pages` pages at `at`, from page `skip` of the place on, and makes them present. False,
 * with errno (ENOMEM: too many mappings): the file is there, or a part is covered, which cover_remove undoes. */
bool cover_put(const struct mapped_file * file, char * at, uint32_t pages, const struct pool * pool,
               const struct pool_place * place, uint32_t skip);

/* The file again, with MADV_RANDOM. False, with errno: what was there still is, and has to stay as it is. */
bool cover_remove(const struct mapped_file * file, char * at, uint32_t pages);

/* The file over all of its mapping, in the child of a fork too: one system call, nothing allocated. Neither drops
 * MADV_RANDOM nor sets it. */
bool cover_remove_all(const struct mapped_file * file);

/* The kernel reads nothing ahead in the mapping from now on, and drops what it holds of the file as far as nobody else
 * uses it. */
void cover_begin(const struct mapped_file * file);

/* As the program had it. */
void cover_end(const struct mapped_file * file);

#endif
