/* SPDX-License-Identifier: MIT
 *
 * What this process's mappings of files need of memory, besides the model's pieces.
 */
#ifndef TAT_MANAGE_ADDRESS_SPACE_H
#define TAT_MANAGE_ADDRESS_SPACE_H

#include <stdbool.h>
#include <stdint.h>

/* Bytes of the page cache of programs and libraries: of their code. What else is in them is read once. Reads
 * PROC/self/smaps. False: it cannot be read. */
bool address_space_files(const char * proc, uint64_t * bytes);

#endif
