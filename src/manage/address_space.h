/* SPDX-License-Identifier: MIT
 *
 * What this process's mappings of files need of memory, besides the model's pieces.
 */
#ifndef TAT_MANAGE_ADDRESS_SPACE_H
#define TAT_MANAGE_ADDRESS_SPACE_H

#include <stdbool.h>
#include <stdint.h>

/* Bytes of the page cache that are mapped. */
struct address_space_files {
    uint64_t code;  /* of programs and libraries. What else is in them is read once */
    uint64_t other; /* a model's, mostly */
};

/* Reads PROC/self/smaps. False: it cannot be read. */
bool address_space_files(const char * proc, struct address_space_files * files);

#endif
