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
        tat_io_free(&io);
    }
    if (fd >= 0) { close(fd); }
    tb_free(&b);
    return 0;
}
