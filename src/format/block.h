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

/* Writes a block to `at`, where tat_block_bytes(payload_bytes) zeroed bytes belong to the caller alone; in the file
 * they will be at file_offset. The magic is stored last, with release order: whoever sees the magic sees the block. */
void tat_block_commit(void * at, uint64_t file_offset, enum tat_block_type type, const void * payload,
                      uint32_t payload_bytes);

void tat_header_seal(struct tat_file_header * header); /* sets the checksum */

#endif
