/* SPDX-License-Identifier: MIT
 *
 * Any blocks as I/O events: reading answers, and what it gives is in order and makes sense; so does the join with the
 * trace of a small model. Run as
 *
 *     fuzz_io -max_len=20000 -rss_limit_mb=1024 -timeout=10 CORPUS
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "small_model.h"
#include "tat/io.h"
#include "tat/storage.h"

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

/* A trace of two tokens, opened once. Its process, its file's path and its times are such that few bytes hit them. */
static struct tat_trace * trace_of_two(void) {
    static const uint32_t experts[] = { 1, 3 };
    static struct tat_trace * trace;
    struct trace_builder b;
    struct small_model m;
    if (trace) { return trace; }
    small_model_begin(&b, &m);
    tb_header(&b)->pid = 1;
    tb_header(&b)->page_bytes = 32;
    tb_seal(&b);
    tb_event(&b, TAT_EVENT_MAPPING, 1, (const uint64_t[]){ 1, 0, 8192, 0 }, 4, NULL);
    const uint32_t template_id = small_model_template(&b, &m, 1);
    b.tick = 100;
    small_model_evaluate(&b, template_id, (const int64_t[]){ 4 }, 1, experts);
    small_model_evaluate(&b, template_id, (const int64_t[]){ 5 }, 1, experts);
    trace = small_model_open(&b);
    tb_free(&b);
    return trace;
}

static void check_placed(const struct tat_placed * p, size_t count, size_t events, uint32_t n_evaluations) {
    for (size_t i = 0; i < count; i++) {
        if (p[i].place >= TAT_PLACES || p[i].when >= TAT_WHENS || p[i].event >= events) { abort(); }
        if (p[i].in_vain > p[i].bytes) { abort(); }
        if (p[i].evaluation != TAT_NO_NUMBER && p[i].evaluation >= n_evaluations) { abort(); }
    }
}

/* Each byte of a request has its part. */
static void check_requests_whole(const struct tat_io * io, const struct tat_storage * s) {
    size_t at = 0;
    for (size_t i = 0; i < io->n_requests && !s->cut; i++) {
        uint64_t bytes = 0;
        for (; at < s->n_requests && s->requests[at].event == i; at++) { bytes += s->requests[at].bytes; }
        if (bytes != io->requests[i].bytes) { abort(); }
    }
}

static void check_join(const struct tat_io * io) {
    struct tat_trace * trace = trace_of_two();
    struct tat_storage s;
    struct tat_error error;
    uint32_t n;
    tat_trace_evaluations(trace, &n);
    tat_storage_mismatch(trace, io);
    if (tat_storage_join(trace, io, true, &s, &error) == 0) {
        check_placed(s.faults, s.n_faults, io->n_faults, n);
        check_placed(s.requests, s.n_requests, io->n_requests, n);
        check_placed(s.pages, s.n_pages, io->n_pages > io->n_requests ? io->n_pages : io->n_requests, n);
        check_requests_whole(io, &s);
    }
    tat_storage_free(&s);
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
        check_join(&io);
        tat_io_free(&io);
    }
    if (fd >= 0) { close(fd); }
    tb_free(&b);
    return 0;
}
