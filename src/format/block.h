/* SPDX-License-Identifier: MIT
 *
 * The frame around every block: header, checksum, padding.
 */
#ifndef TAT_FORMAT_BLOCK_H
#define TAT_FORMAT_BLOCK_H

#include "tat/format.h"

/* XXH64; any thread. */
uint64_t tat_checksum(const void * bytes, size_t count, uint64_t seed);

/* The bytes that a block with this payload takes in the file. */
static inline uint64_t tat_block_bytes(uint64_t payload_bytes) {
    return (sizeof(struct tat_block_header) + payload_bytes + TAT_BLOCK_ALIGN - 1) & ~(uint64_t) (TAT_BLOCK_ALIGN - 1);
}

uint64_t tat_block_checksum(uint64_t file_offset, enum tat_block_type type, const void * payload,
                            uint32_t payload_bytes);

struct tat_block_header tat_block_header_of(uint64_t file_offset, enum tat_block_type type, const void * payload,
                                            uint32_t payload_bytes);

/* Writes header, payload and padding at `file_offset`, which belongs to the caller alone, by one call where the system
 * takes all of it. Allocates nothing. 0, or an errno: then a part of the block may be there, which no reader takes for
 * a block. Beyond RLIMIT_FSIZE, the caller has to expect SIGXFSZ. */
int tat_block_write(int fd, uint64_t file_offset, enum tat_block_type type, const void * payload,
                    uint32_t payload_bytes);

void tat_header_seal(struct tat_file_header * header); /* sets the checksum */

/* Writes a header that is sealed. 0 or an errno. */
int tat_header_write(int fd, const struct tat_file_header * header);

#endif
