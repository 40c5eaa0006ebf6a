/* SPDX-License-Identifier: MIT */
#include "format/block.h"

#include <string.h>

/* Header-only, so that the agent links only libc. */
#define XXH_INLINE_ALL
#include <xxhash.h>

uint64_t tat_checksum(const void * bytes, size_t count, uint64_t seed) {
    return XXH64(bytes, count, seed);
}

uint64_t tat_block_checksum(uint64_t file_offset, enum tat_block_type type, const void * payload,
                            uint32_t payload_bytes) {
    const uint64_t seed = file_offset ^ (uint64_t) type << 48 ^ (uint64_t) payload_bytes << 16;
    return tat_checksum(payload, payload_bytes, seed);
}

void tat_block_commit(void * at, uint64_t file_offset, enum tat_block_type type, const void * payload,
                      uint32_t payload_bytes) {
    struct tat_block_header * header = at;
    memcpy(header + 1, payload, payload_bytes);
    header->type = (uint16_t) type;
    header->payload_bytes = payload_bytes;
    header->checksum = tat_block_checksum(file_offset, type, payload, payload_bytes);
    __atomic_store_n(&header->magic, TAT_BLOCK_MAGIC, __ATOMIC_RELEASE);
}

void tat_header_seal(struct tat_file_header * header) {
    header->checksum = tat_checksum(header, offsetof(struct tat_file_header, checksum), 0);
}
