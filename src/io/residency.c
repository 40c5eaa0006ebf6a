/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <unistd.h>

#include "agent/clock.h"
#include "io/run_files.h"
#include "system/page_cache.h"

struct sample {
    struct tat_io_residency told;
    struct list runs;
};

/* Adds the pages of a piece that are in memory. False: no memory. */
static bool add_piece(uint64_t first, const unsigned char * resident, size_t pages, void * user) {
    struct sample * s = user;
    for (size_t i = 0; i < pages;) {
        size_t end = i;
        while (end < pages && resident[end] & 1) { end++; }
        struct tat_io_run * last = s->runs.count ? &LIST(struct tat_io_run, s->runs)[s->runs.count - 1] : NULL;
        if (end > i && last && last->first + last->count == first + i) {
            last->count += end - i;
        } else if (end > i) {
            struct tat_io_run * run = list_add(&s->runs, sizeof *run);
            if (!run) { return false; }
            *run = (struct tat_io_run){ first + i, end - i };
        }
        i = end + 1;
    }
    return true;
}

void run_file_tell_residency(const struct run_file * file, struct io_writer * writer) {
    const size_t page = (size_t) sysconf(_SC_PAGESIZE);
    const uint64_t pages = (file->bytes + page - 1) / page;
    struct sample s = { .told = { .ns = clock_monotonic_ns(), .file = file->number, .of = { 0, pages } } };
    if (!file->number || !file->tells_residency) { return; }
    const bool known = pages > 0 && page_cache_look(file->fd, file->bytes, add_piece, &s);
    s.told.runs = s.runs.data;
    s.told.n_runs = s.runs.count;
    if (known) { io_write_residency(writer, &s.told); }
    free(s.runs.data);
}

void run_files_tell_residency(const struct run_files * files) {
    for (uint32_t i = 0; i < files->all.count; i++) {
        run_file_tell_residency(&LIST(struct run_file, files->all)[i], files->writer);
    }
}
