/* SPDX-License-Identifier: MIT
 *
 * Which pages of a file are in memory, by mincore(2): nothing is read, and no page counts as used by it.
 */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/clock.h"
#include "io/run_files.h"

enum { WINDOW_PAGES = 1 << 18 }; /* looked at at once */

struct sample {
    struct tat_io_residency told;
    struct list runs;
};

/* Adds the pages of a window that are in memory. False: no memory. */
static bool add_window(struct sample * s, uint64_t first, const unsigned char * resident, size_t pages) {
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

static bool look_at(struct sample * s, int fd, uint64_t first, size_t pages, size_t page) {
    static unsigned char resident[WINDOW_PAGES]; /* one thread samples at a time */
    void * at = mmap(NULL, pages * page, PROT_READ, MAP_SHARED, fd, (off_t) (first * page));
    if (at == MAP_FAILED) { return false; }
    const bool good = mincore(at, pages * page, resident) == 0 && add_window(s, first, resident, pages);
    munmap(at, pages * page);
    return good;
}

void run_file_tell_residency(const struct run_file * file, struct io_writer * writer) {
    const size_t page = (size_t) sysconf(_SC_PAGESIZE);
    const uint64_t pages = (file->bytes + page - 1) / page;
    struct sample s = { .told = { .ns = clock_monotonic_ns(), .file = file->number, .of = { 0, pages } } };
    if (!file->number || !file->tells_residency) { return; }
    bool good = pages > 0;
    for (uint64_t first = 0; first < pages && good; first += WINDOW_PAGES) {
        const uint64_t n = pages - first < WINDOW_PAGES ? pages - first : WINDOW_PAGES;
        good = look_at(&s, file->fd, first, (size_t) n, page);
    }
    s.told.runs = s.runs.data;
    s.told.n_runs = s.runs.count;
    if (good) { io_write_residency(writer, &s.told); }
    free(s.runs.data);
}

void run_files_tell_residency(const struct run_files * files) {
    for (uint32_t i = 0; i < files->all.count; i++) {
        run_file_tell_residency(&LIST(struct run_file, files->all)[i], files->writer);
    }
}
