/* SPDX-License-Identifier: MIT
 *
 * Any blocks as I/O events: reading answers, and what it gives is in order and makes sense. Run as
 *
 *     fuzz_io -max_len=20000 -rss_limit_mb=1024 -timeout=10 CORPUS
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tat/io.h"
#include "trace_builder.h"

int LLVMFuzzerTestOneInput(const uint8_t * data, size_t size);

static void check(const struct tat_io * io) {
    for (size_t i = 0; i < io->n_faults; i++) {
        const struct tat_io_fault * f = &io->faults[i];
        if (f->duration_ns > f->end_ns || f->preempted_ns > f->duration_ns) { abort(); }
        if (i && io->faults[i - 1].end_ns > f->end_ns) { abort(); }
    }
}

static bool fits(uint64_t first, uint64_t count, uint64_t most) {
    return count && first <= most && count <= most - first;
}

static void check_files(const struct tat_io * io) {
    for (size_t i = 0; i < io->n_files; i++) {
        const struct tat_io_file * f = &io->files[i];
        if (f->number != i + 1 || !f->path || !f->file_system || !f->no_extents) { abort(); }
        for (size_t k = 0; k < f->n_extents; k++) {
            const struct tat_io_extent * e = &f->extents[k];
            if (!fits(e->file_offset, e->bytes, 1ull << 62) || !fits(e->disk_offset, e->bytes, 1ull << 62)) { abort(); }
            if (k && e->file_offset < e[-1].file_offset + e[-1].bytes) { abort(); }
        }
    }
    for (size_t i = 0; i < io->n_residency; i++) {
        const struct tat_io_residency * r = &io->residency[i];
        uint64_t at = r->of.first;
        if (r->file == 0 || r->file > io->n_files || !fits(r->of.first, r->of.count, 1ull << 51)) { abort(); }
        for (size_t k = 0; k < r->n_runs; k++) {
            if (r->runs[k].first < at || !fits(r->runs[k].first, r->runs[k].count, 1ull << 51)) { abort(); }
            at = r->runs[k].first + r->runs[k].count;
        }
        if (at > r->of.first + r->of.count) { abort(); }
    }
}

static void check_requests(const struct tat_io * io) {
    for (size_t i = 0; i < io->n_pages; i++) {
        const struct tat_io_pages * p = &io->pages[i];
        if (p->file == 0 || p->file > io->n_files || !fits(p->first, p->count, 1ull << 51)) { abort(); }
        if (i && p[-1].ns > p->ns) { abort(); }
    }
    for (size_t i = 0; i < io->n_requests; i++) {
        const struct tat_io_request * q = &io->requests[i];
        if (q->duration_ns > q->end_ns || !fits(q->disk_offset, q->bytes, 1ull << 62)) { abort(); }
        if (i && q[-1].end_ns > q->end_ns) { abort(); }
    }
}

/* A block of these bytes, and the bytes once more without a frame. */
int LLVMFuzzerTestOneInput(const uint8_t * data, size_t size) {
    struct trace_builder b;
    struct tat_io io;
    struct tat_error error;
    char path[32];
    tb_begin(&b);
    tb_header(&b)->file_kind = TAT_FILE_IO_EVENTS;
    tb_seal(&b);
    tb_block(&b, TAT_BLOCK_IO, data, size);
    tb_bytes(&b, data, size);
    const int fd = memfd_create("io_events", MFD_CLOEXEC);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (fd >= 0 && write(fd, b.bytes, b.size) == (ssize_t) b.size && tat_io_read(path, &io, &error) == 0) {
        check(&io);
        check_files(&io);
        check_requests(&io);
        tat_io_free(&io);
    }
    if (fd >= 0) { close(fd); }
    tb_free(&b);
    return 0;
}
