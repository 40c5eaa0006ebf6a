/* SPDX-License-Identifier: MIT
 *
 * blktrace's own records, in the byte order of the machine that wrote them. Where one is damaged, the next is looked
 * for by its magic.
 */
#include <endian.h>
#include <linux/blktrace_api.h>
#include <string.h>

#include "blocktrace/events.h"
#include "io/requests.h"

#define MAGIC (BLK_IO_TRACE_MAGIC | BLK_IO_TRACE_VERSION)

static bool is_ours(const uint8_t * at, bool * swapped) {
    uint32_t magic;
    memcpy(&magic, at, sizeof magic);
    *swapped = magic == __builtin_bswap32(MAGIC);
    return magic == MAGIC || *swapped;
}

bool block_is_binary(const uint8_t * bytes, size_t count) {
    bool swapped;
    return count >= sizeof(struct blk_io_trace) && is_ours(bytes, &swapped);
}

static void swap(struct blk_io_trace * t) {
    t->sequence = __builtin_bswap32(t->sequence);
    t->time = __builtin_bswap64(t->time);
    t->sector = __builtin_bswap64(t->sector);
    t->bytes = __builtin_bswap32(t->bytes);
    t->action = __builtin_bswap32(t->action);
    t->pid = __builtin_bswap32(t->pid);
    t->device = __builtin_bswap32(t->device);
    t->error = __builtin_bswap16(t->error);
    t->pdu_len = __builtin_bswap16(t->pdu_len);
}

/* The clock on the wall at the time of the trace's beginning: seconds and nanoseconds. */
static void read_wall(struct block_reader * r, const struct blk_io_trace * t, const uint8_t * data, bool swapped) {
    uint32_t words[2];
    if (t->pdu_len < sizeof words || r->trace->wall_ns) { return; }
    memcpy(words, data, sizeof words);
    for (int i = 0; i < 2; i++) { words[i] = swapped ? __builtin_bswap32(words[i]) : words[i]; }
    if (t->time > INT64_MAX / 2) { return; }
    r->trace->wall_ns = (int64_t) words[0] * 1000000000 + words[1] - (int64_t) t->time;
}

static int kind_of(uint32_t action) {
    switch (action & 0xff) {
        case __BLK_TA_QUEUE: return BLOCK_QUEUE;
        case __BLK_TA_ISSUE: return BLOCK_ISSUE;
        case __BLK_TA_REQUEUE: return BLOCK_REQUEUE;
        case __BLK_TA_COMPLETE: return BLOCK_COMPLETE;
        default: return -1;
    }
}

static void read_record(struct block_reader * r, const struct blk_io_trace * t, const uint8_t * data, bool swapped,
                        uint64_t where) {
    const uint32_t category = t->action >> BLK_TC_SHIFT, other = BLK_TC_DISCARD | BLK_TC_PC;
    const int kind = kind_of(t->action);
    r->trace->seen[BLOCK_BLKTRACE] = true;
    if (category & BLK_TC_NOTIFY) {
        if ((t->action & 0xff) == __BLK_TN_TIMESTAMP) { read_wall(r, t, data, swapped); }
        r->trace->other_lines++;
        return;
    }
    if (kind < 0 || category & other || !t->bytes) {
        r->trace->other_lines++;
        return;
    }
    if (!block_is_sane(t->sector, t->bytes)) {
        block_damaged(r, where);
        return;
    }
    struct block_event e = { .ns = t->time, .bytes = t->bytes, .pid = t->pid, .kind = (uint8_t) kind };
    e.offset = t->sector * BLOCK_SECTOR;
    e.flags =
        (uint8_t) ((category & BLK_TC_WRITE ? TAT_IO_WRITE : 0u) | (category & BLK_TC_AHEAD ? TAT_IO_READ_AHEAD : 0u) |
                   (category & BLK_TC_META ? TAT_IO_METADATA : 0u) |
                   (kind == BLOCK_COMPLETE && t->error ? TAT_IO_FAILED : 0u));
    e.disk = block_disk_numbered(r, disk_of_kernel(t->device));
    block_add(r, &e);
}

size_t block_read_binary(struct block_reader * r, const uint8_t * bytes, size_t count, uint64_t where, bool last) {
    size_t at = 0;
    bool swapped, lost = false;
    while (r->memory && count - at >= sizeof(struct blk_io_trace)) {
        struct blk_io_trace t;
        if (!is_ours(bytes + at, &swapped)) {
            if (!lost) { block_damaged(r, where + at + 1); }
            lost = true;
            at++;
            continue;
        }
        memcpy(&t, bytes + at, sizeof t);
        if (swapped) { swap(&t); }
        if (count - at - sizeof t < t.pdu_len && !last) { return at; }
        if (count - at - sizeof t < t.pdu_len || t.time > INT64_MAX) {
            block_damaged(r, where + at + 1);
            lost = true;
            at += sizeof t.magic;
            continue;
        }
        read_record(r, &t, bytes + at + sizeof t, swapped, where + at + 1);
        at += sizeof t + t.pdu_len;
        lost = false;
    }
    if (last && at < count && !lost) { block_damaged(r, where + at + 1); }
    return at;
}
