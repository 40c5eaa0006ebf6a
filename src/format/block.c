/* SPDX-License-Identifier: MIT */
#include "format/block.h"

#include <errno.h>
#include <stddef.h>
#include <sys/uio.h>

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

struct tat_block_header tat_block_header_of(uint64_t file_offset, enum tat_block_type type, const void * payload,
                                            uint32_t payload_bytes) {
    return (struct tat_block_header){ .magic = TAT_BLOCK_MAGIC,
                                      .type = (uint16_t) type,
                                      .payload_bytes = payload_bytes,
                                      .checksum = tat_block_checksum(file_offset, type, payload, payload_bytes) };
}

/* Some file systems take less than they are given, or give up for a signal. */
static int write_all(int fd, uint64_t at, struct iovec * part, int count) {
    while (count > 0) {
        const ssize_t written = pwritev(fd, part, count, (off_t) at);
        if (written < 0 && errno == EINTR) { continue; }
        if (written <= 0) { return written < 0 ? errno : EIO; }
        size_t left = (size_t) written;
        for (; count > 0 && left >= part->iov_len; part++, count--) { left -= part->iov_len; }
        if (count > 0) { *part = (struct iovec){ (char *) part->iov_base + left, part->iov_len - left }; }
        at += (uint64_t) written;
    }
    return 0;
}

int tat_block_write(int fd, uint64_t file_offset, enum tat_block_type type, const void * payload,
                    uint32_t payload_bytes) {
    static const char zeros[TAT_BLOCK_ALIGN];
    struct tat_block_header header = tat_block_header_of(file_offset, type, payload, payload_bytes);
    const size_t padding = (size_t) tat_block_bytes(payload_bytes) - sizeof header - payload_bytes;
    struct iovec parts[] = { { &header, sizeof header },
                             { (void *) payload, payload_bytes },
                             { (void *) zeros, padding } };
    return write_all(fd, file_offset, parts, sizeof parts / sizeof parts[0]);
}

int tat_header_write(int fd, const struct tat_file_header * header) {
    return write_all(fd, 0, &(struct iovec){ (void *) header, sizeof *header }, 1);
}

void tat_header_seal(struct tat_file_header * header) {
    header->checksum = tat_checksum(header, offsetof(struct tat_file_header, checksum), 0);
}
