/* SPDX-License-Identifier: MIT
 *
 * Memory that requests past the page cache read into. A request into a large page is one piece of memory for the disk,
 * and on virtual disks almost twice as fast as one into small pages.
 */
#ifndef TAT_DOCTOR_DISK_BUFFER_H
#define TAT_DOCTOR_DISK_BUFFER_H

#include <stddef.h>
#include <stdint.h>

struct disk_buffer {
    uint8_t * at;      /* aligned to large pages; NULL: there is none */
    size_t page_bytes; /* of the pages that it is made of, as far as the kernel tells */
    void * mapping;
    size_t mapped_bytes;
};

/* Shared memory, like that of what `tat run` reads into, made of large pages if the kernel makes them. 0, or an errno.
 * Free it in any case. */
int disk_buffer_make(struct disk_buffer * buffer, size_t bytes);
void disk_buffer_free(struct disk_buffer * buffer);

#endif
