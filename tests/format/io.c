/* SPDX-License-Identifier: MIT
 *
 * io FILE: what the library finds in a file of I/O events, a line an event, for read_io.py to be compared with.
 */
#include <inttypes.h>
#include <stdio.h>

#include "tat/io.h"

static void put_files(const struct tat_io * io) {
    for (size_t i = 0; i < io->n_files; i++) {
        const struct tat_io_file * f = &io->files[i];
        printf("file %" PRIu32 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %s %s %s\n", f->number, f->device,
               f->inode, f->bytes, f->disk, f->path, f->file_system, f->no_extents);
        for (size_t k = 0; k < f->n_extents; k++) {
            const struct tat_io_extent * e = &f->extents[k];
            printf("extent %" PRIu32 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", f->number, e->file_offset,
                   e->disk_offset, e->bytes);
        }
    }
}

static void put_events(const struct tat_io * io) {
    for (size_t i = 0; i < io->n_faults; i++) {
        const struct tat_io_fault * f = &io->faults[i];
        printf("fault %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu32 " %" PRIu32 " %" PRIu32 "\n", f->end_ns,
               f->duration_ns, f->preempted_ns, f->address, f->pid, f->tid, f->flags);
    }
    for (size_t i = 0; i < io->n_pages; i++) {
        const struct tat_io_pages * p = &io->pages[i];
        printf("pages %" PRIu64 " %" PRIu32 " %" PRIu64 " %" PRIu64 " %" PRIu32 " %" PRIu32 " %d\n", p->ns, p->file,
               p->first, p->count, p->pid, p->tid, p->left);
    }
    for (size_t i = 0; i < io->n_requests; i++) {
        const struct tat_io_request * r = &io->requests[i];
        printf("request %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu32 " %" PRIu32 "\n",
               r->end_ns, r->duration_ns, r->disk, r->disk_offset, r->bytes, r->pid, r->flags);
    }
    for (size_t i = 0; i < io->n_counters; i++) {
        const struct tat_io_counter_value * v = &io->counters[i];
        printf("counter %" PRIu64 " %" PRIu32 " %" PRIu64 "\n", v->ns, v->counter, v->value);
    }
    for (size_t i = 0; i < io->n_residency; i++) {
        const struct tat_io_residency * r = &io->residency[i];
        printf("residency %" PRIu64 " %" PRIu32 " %" PRIu64 " %" PRIu64, r->ns, r->file, r->of.first, r->of.count);
        for (size_t k = 0; k < r->n_runs; k++) { printf(" %" PRIu64 " %" PRIu64, r->runs[k].first, r->runs[k].count); }
        printf("\n");
    }
}

int main(int argc, char ** argv) {
    struct tat_io io;
    struct tat_error error;
    if (argc != 2 || tat_io_read(argv[1], &io, &error) != 0) {
        fprintf(stderr, "%s\n", argc == 2 ? error.message : "usage: io FILE");
        return 2;
    }
    put_events(&io);
    put_files(&io);
    for (int i = 1; i < TAT_IO_SOURCE_COUNT; i++) {
        if (io.recorded[i] || io.missing[i]) {
            printf("source %d %d %s\n", i, io.recorded[i], io.missing[i] ? io.missing[i] : "");
        }
    }
    printf("all %" PRIu64 " %" PRIu64 " %" PRIu64 " %d %d\n", io.ignored, io.lost, io.damaged_bytes, io.partial,
           io.ended);
    tat_io_free(&io);
    return 0;
}
