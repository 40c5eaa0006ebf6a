/* SPDX-License-Identifier: MIT */
#include "analysis/storage/page_map.h"

#include <stdlib.h>
#include <string.h>

/* A file may have 16 TiB, and each event may be about pages of a few chunks. */
enum { FILE_CHUNKS_MAX = 1 << 20, CHUNKS_LEAST = 1024, CHUNKS_EACH = 4 };

bool page_map_begin(struct page_map * m, uint32_t n_files, size_t events) {
    *m = (struct page_map){ .chunks_max = CHUNKS_LEAST + CHUNKS_EACH * events };
    m->file = calloc((size_t) n_files + 1, sizeof *m->file);
    return m->file != NULL;
}

void page_map_free(struct page_map * m, uint32_t n_files) {
    for (uint32_t f = 0; m->file && f <= n_files; f++) {
        for (size_t i = 0; i < m->file[f].n; i++) { free(m->file[f].chunk[i]); }
        free(m->file[f].chunk);
    }
    free(m->file);
}

static bool grow(struct page_map_file * f, size_t wanted) {
    size_t n = f->n ? f->n : 16;
    while (n < wanted) { n *= 2; }
    struct chunk ** more = reallocarray(f->chunk, n, sizeof *more);
    if (!more) { return false; }
    memset(more + f->n, 0, (n - f->n) * sizeof *more);
    f->chunk = more;
    f->n = n;
    return true;
}

struct chunk * page_map_make(struct page_map * m, uint32_t file, uint64_t page) {
    struct page_map_file * f = &m->file[file];
    const uint64_t at = page / CHUNK_PAGES;
    if (at < f->n && f->chunk[at]) { return f->chunk[at]; }
    m->cut |= at >= FILE_CHUNKS_MAX || m->chunks >= m->chunks_max;
    if (m->cut || m->failed) { return NULL; }
    struct chunk * c = at < f->n || grow(f, (size_t) at + 1) ? calloc(1, sizeof *c) : NULL;
    m->failed |= !c;
    if (!c) { return NULL; }
    m->chunks++;
    return f->chunk[at] = c;
}
