/* SPDX-License-Identifier: MIT
 *
 * What this process's mappings will need of memory, besides the model's pieces.
 */
#ifndef TAT_MANAGE_ADDRESS_SPACE_H
#define TAT_MANAGE_ADDRESS_SPACE_H

#include <stdbool.h>
#include <stdint.h>

/* Bytes. */
struct address_space {
    uint64_t untouched; /* of the program's own large buffers: reserved, and in memory only once they are used */
    uint64_t files;     /* page cache of programs and libraries: of their code. What else is in them is read once */
};

/* Reads PROC/self/smaps. `stack`: bytes of a thread's stack, which is reserved in full and hardly used. False: it
 * cannot be read. */
bool address_space_read(const char * proc, uint64_t stack, struct address_space * space);

#endif
