/* SPDX-License-Identifier: MIT
 *
 * What the readers of the formats share: where their events go.
 */
#ifndef TAT_BLOCKTRACE_EVENTS_H
#define TAT_BLOCKTRACE_EVENTS_H

#include "blocktrace/block_trace.h"
#include "format/list.h"

enum block_kind {
    BLOCK_ISSUE,
    BLOCK_REQUEUE,
    BLOCK_COMPLETE,
    BLOCK_QUEUE, /* stands for the issue on disks that have none, as those that pass bios on */
    BLOCK_DONE,  /* likewise for the completion */
    BLOCK_LOST,  /* `bytes` events were lost here */
};

struct block_event {
    uint64_t ns;
    uint64_t offset, bytes;
    uint32_t disk; /* index */
    uint32_t pid;
    uint32_t order; /* in which they were read */
    uint8_t kind;   /* enum block_kind */
    uint8_t flags;  /* enum tat_io_request_flag */
};

enum { BLOCK_EVENTS_MOST = 1 << 25, BLOCK_DISKS_MOST = 4096, BLOCK_SECTOR = 512 };

/* The kernel counts a request's bytes in 32 bits, and a disk's in 63. */
static inline bool block_is_sane(uint64_t sector, uint64_t bytes) {
    return bytes <= UINT32_MAX && sector <= (INT64_MAX - UINT32_MAX) / BLOCK_SECTOR;
}

struct block_reader {
    struct block_trace * trace;
    const struct block_options * options;
    const char * path; /* of the file at hand */
    struct list events, requests, disks;
    uint64_t line; /* of the file at hand */
    bool memory;   /* false: it was short, or there are too many */
    bool too_many;
    struct columns * columns; /* of biosnoop, once they are known */
};

/* The disk's index; UINT32_MAX: no memory, or too many. */
uint32_t block_disk_numbered(struct block_reader * reader, uint64_t number);
uint32_t block_disk_named(struct block_reader * reader, const char * name, size_t length);

void block_add(struct block_reader * reader, const struct block_event * event);
void block_add_request(struct block_reader * reader, const struct tat_io_request * request); /* whole */
void block_damaged(struct block_reader * reader, uint64_t where);

/* One line, without its end. */
void block_read_line(struct block_reader * reader, const char * line, size_t length);

/* The bytes of a file of blktrace; `at` is the place of the first. Returns how many of them make whole records, or
 * count as damaged. */
size_t block_read_binary(struct block_reader * reader, const uint8_t * bytes, size_t count, uint64_t at, bool last);
bool block_is_binary(const uint8_t * bytes, size_t count);

#endif
