/* SPDX-License-Identifier: MIT */
#include "io/io_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "agent/clock.h"
#include "format/block.h"
#include "format/file_names.h"

enum { WAIT_NS = 1000000000, LAST_BYTES = 64 };

/* ---- the file ---- */

static void fill_header(struct tat_file_header * h, pid_t pid) {
    struct timespec real;
    memcpy(h->magic, TAT_MAGIC, sizeof h->magic);
    h->version = TAT_FORMAT_VERSION;
    h->header_bytes = TAT_HEADER_BYTES;
    h->byte_order = TAT_BYTE_ORDER;
    h->file_kind = TAT_FILE_IO_EVENTS;
    clock_gettime(CLOCK_REALTIME, &real);
    h->start_realtime_ns = (uint64_t) real.tv_sec * 1000000000u + (uint64_t) real.tv_nsec;
    h->start_monotonic_ns = h->start_tick = clock_monotonic_ns();
    h->ticks_per_second = 1000000000u;
    h->clock = TAT_CLOCK_MONOTONIC;
    h->pid = (uint32_t) pid;
    h->page_bytes = (uint32_t) sysconf(_SC_PAGESIZE);
    if (getrandom(h->run_id, sizeof h->run_id, GRND_NONBLOCK) < 0) { memcpy(h->run_id, &h->start_tick, 8); }
    snprintf(h->producer, sizeof h->producer, "tat %s", TAT_VERSION);
}

static void begin_block(struct io_writer * w) {
    w->out = (struct tat_out){ w->block, w->block + sizeof w->block, false };
    w->state = (struct io_state){ 0 };
    w->in_block = 0;
}

/* A block that was written in part is damage, which the next one takes the place of. */
static bool put(struct io_writer * w, size_t payload, uint64_t most) {
    const uint64_t bytes = tat_block_bytes(payload);
    if (bytes > most || w->bytes > most - bytes) { return false; }
    if (tat_block_write(w->fd, w->bytes, TAT_BLOCK_IO, w->block, (uint32_t) payload) != 0) { return false; }
    w->bytes += bytes;
    return true;
}

static void write_block(struct io_writer * w, uint64_t most) {
    const size_t payload = (size_t) (w->out.at - w->block);
    if (payload && !put(w, payload, most)) { w->unwritten += w->in_block; }
    begin_block(w);
}

/* What is kept for the last block, so that a file that is full says so. */
static uint64_t most_but_the_last(const struct io_writer * w) {
    return w->bytes_most > LAST_BYTES ? w->bytes_most - LAST_BYTES : 0;
}

static void next_block(struct io_writer * w) {
    write_block(w, most_but_the_last(w));
}

int io_writer_open(struct io_writer * w, const char * folder, pid_t pid, uint64_t most, struct tat_error * error) {
    struct tat_file_header header = { 0 };
    char path[PATH_MAX + 16];
    fill_header(&header, pid);
    tat_header_seal(&header);
    snprintf(path, sizeof path, "%s/" IO_EVENTS_FILE, folder);
    *w = (struct io_writer){ .bytes = sizeof header,
                             .bytes_most = most,
                             .fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600) };
    if (w->fd < 0) { return tat_fail_errno(error, "%s", path); }
    errno = most < sizeof header ? EFBIG : tat_header_write(w->fd, &header);
    if (errno) {
        tat_fail_errno(error, "%s", path);
        close(w->fd);
        unlink(path);
        return -1;
    }
    begin_block(w);
    return 0;
}

void io_writer_tick(struct io_writer * w) {
    if (w->in_block && clock_monotonic_ns() - w->began_ns > WAIT_NS) { next_block(w); }
}

void io_writer_close(struct io_writer * w, uint64_t lost) {
    next_block(w);
    if (lost + w->unwritten) { io_put_count(&w->out, TAT_IO_LOST, lost + w->unwritten); }
    io_put_mark(&w->out, TAT_IO_END);
    write_block(w, UINT64_MAX);
    close(w->fd);
}

/* ---- events ---- */

static void count(struct io_writer * w) {
    if (!w->in_block++) { w->began_ns = clock_monotonic_ns(); }
}

/* An event goes into the block; where it does not fit, into the next, which has room for any. */
#define WRITE(w, put)                                                                                                  \
    do {                                                                                                               \
        if (!(put)) {                                                                                                  \
            next_block(w);                                                                                             \
            (void) (put);                                                                                              \
        }                                                                                                              \
        count(w);                                                                                                      \
    } while (0)

void io_write_fault(struct io_writer * w, const struct tat_io_fault * fault) {
    WRITE(w, io_put_fault(&w->out, &w->state, fault));
}

void io_write_pages(struct io_writer * w, const struct tat_io_pages * pages) {
    WRITE(w, io_put_pages(&w->out, &w->state, pages));
}

void io_write_request(struct io_writer * w, const struct tat_io_request * request) {
    WRITE(w, io_put_request(&w->out, &w->state, request));
}

void io_write_counter(struct io_writer * w, const struct tat_io_counter_value * value) {
    WRITE(w, io_put_counter(&w->out, &w->state, value));
}

void io_write_source(struct io_writer * w, enum tat_io_source source, const char * missing) {
    WRITE(w, io_put_source(&w->out, source, missing));
}

void io_write_count(struct io_writer * w, enum tat_io_type type, uint64_t number) {
    WRITE(w, io_put_count(&w->out, type, number));
}

void io_write_mark(struct io_writer * w, enum tat_io_type type) {
    WRITE(w, io_put_mark(&w->out, type));
}

void io_write_file(struct io_writer * w, const struct tat_io_file * file) {
    WRITE(w, io_put_file(&w->out, file));
    for (size_t done = 0; done < file->n_extents;) {
        const size_t n = io_put_extents(&w->out, file->number, file->extents + done, file->n_extents - done);
        done += n;
        count(w);
        if (done < file->n_extents) { next_block(w); }
    }
}

void io_write_residency(struct io_writer * w, const struct tat_io_residency * residency) {
    struct tat_io_residency rest = *residency;
    while (rest.of.count) {
        const uint64_t n = io_put_residency(&w->out, &rest);
        rest.of.first += n;
        rest.of.count -= n;
        count(w);
        if (rest.of.count) { next_block(w); }
    }
}
