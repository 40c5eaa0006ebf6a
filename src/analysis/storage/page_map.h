/* SPDX-License-Identifier: MIT
 *
 * What is known of each page of the model's files at a moment. Only stretches in which something happened take memory.
 */
#ifndef TAT_ANALYSIS_STORAGE_PAGE_MAP_H
#define TAT_ANALYSIS_STORAGE_PAGE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum page_flag {
    PAGE_HERE = 1u << 0,    /* in the page cache */
    PAGE_TOUCHED = 1u << 2, /* by an operation since it came */
    PAGE_LEFT = 1u << 1,    /* left it during the operation at hand, which may have touched it before */
};

struct page {
    int64_t came_ns;           /* into the page cache, last */
    uint32_t came;             /* how often */
    uint32_t event;            /* by which */
    uint32_t part;             /* 1 + that of the request that read it; 0: none that is unsettled */
    uint32_t fault;            /* 1 + that of the fault that waits for it; 0: none */
    uint32_t slice;            /* 1 + its weight's; 0: not looked up */
    uint32_t evaluation, node; /* of the operation that touched it, while PAGE_TOUCHED */
    uint16_t op;
    uint8_t when;  /* it came */
    uint8_t flags; /* enum page_flag */
};

enum { CHUNK_PAGES = 4096, CHUNK_WORDS = CHUNK_PAGES / 64 };

struct chunk {
    uint64_t pending[CHUNK_WORDS]; /* pages that came and were not touched since */
    struct page page[CHUNK_PAGES];
};

struct page_map {
    struct page_map_file {
        struct chunk ** chunk;
        size_t n;
    } * file; /* by number of a model file */
    size_t chunks, chunks_max;
    bool cut; /* there was more than `chunks_max` */
    bool failed;
};

/* `events`: more chunks than they can need are not made. False: no memory. Free it in any case. */
bool page_map_begin(struct page_map * m, uint32_t n_files, size_t events);
void page_map_free(struct page_map * m, uint32_t n_files);

/* Makes what is not there yet. NULL: too many, or no memory. */
struct chunk * page_map_make(struct page_map * m, uint32_t file, uint64_t page);

/* NULL: nothing happened there. */
static inline struct chunk * page_map_chunk(const struct page_map * m, uint32_t file, uint64_t page) {
    const uint64_t at = page / CHUNK_PAGES;
    return at < m->file[file].n ? m->file[file].chunk[at] : NULL;
}

static inline bool page_pending(const struct chunk * c, uint64_t page) {
    return c->pending[page % CHUNK_PAGES / 64] >> page % 64 & 1;
}

static inline void page_set_pending(struct chunk * c, uint64_t page, bool pending) {
    const uint64_t bit = (uint64_t) 1 << page % 64;
    uint64_t * word = &c->pending[page % CHUNK_PAGES / 64];
    *word = pending ? *word | bit : *word & ~bit;
}

#endif
