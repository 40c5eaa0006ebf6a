/* SPDX-License-Identifier: MIT
 *
 * Any bytes as another tool's block trace, and as a map of a disk: reading answers, or says why not, and what it gives
 * is in order. Run as
 *
 *     fuzz_block_trace -max_len=20000 -rss_limit_mb=1024 -timeout=10 CORPUS
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "blocktrace/block_trace.h"
#include "blocktrace/disk_map.h"

int LLVMFuzzerTestOneInput(const uint8_t * data, size_t size);

static void check(const struct block_trace * t) {
    uint64_t requests = 0;
    for (size_t i = 0; i < t->n_requests; i++) {
        const struct tat_io_request * q = &t->requests[i];
        if (i && t->requests[i - 1].end_ns > q->end_ns) { abort(); }
        if (q->duration_ns > q->end_ns || q->disk >= t->n_disks || q->disk_offset + q->bytes < q->bytes) { abort(); }
    }
    for (size_t i = 0; i < t->n_disks; i++) { requests += t->disks[i].requests; }
    if (requests != t->n_requests || t->n_requests > t->events || !t->damaged != !t->damaged_file) { abort(); }
}

static void read_map(const char * path) {
    struct disk_map map = { 0 };
    struct tat_error error = { 0 };
    if (disk_map_read(&map, path, 0, &error) != 0 && !*error.message) { abort(); }
    for (size_t f = 0; f < map.n_files; f++) {
        const struct tat_io_extent * e = map.files[f].extents;
        for (size_t i = 1; i < map.files[f].n_extents; i++) {
            if (e[i - 1].file_offset + e[i - 1].bytes > e[i].file_offset) { abort(); }
        }
    }
    disk_map_free(&map);
}

int LLVMFuzzerTestOneInput(const uint8_t * data, size_t size) {
    static const struct block_options options[] = {
        { 0 },
        { .format = BLOCK_BIOSNOOP },
        { .format = BLOCK_BLKPARSE, .line_format = "%D|%a|%d|%S+%n|%T.%t|%N %e %p %C" },
    };
    char path[64];
    const int fd = memfd_create("block", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, size) != (ssize_t) size) { abort(); }
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    const char * const paths[] = { path, path };
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        struct block_trace trace;
        struct tat_error error = { 0 };
        const int failed = block_trace_read(&trace, paths, 1 + (i == 0), &options[i], &error);
        if (failed && !*error.message) { abort(); }
        if (!failed) { check(&trace); }
        block_trace_free(&trace);
    }
    read_map(path);
    close(fd);
    return 0;
}
