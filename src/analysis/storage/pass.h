/* SPDX-License-Identifier: MIT
 *
 * The inside of the pass over operations and I/O events (cache.h).
 */
#ifndef TAT_ANALYSIS_STORAGE_PASS_H
#define TAT_ANALYSIS_STORAGE_PASS_H

#include "analysis/storage/cache.h"

/* What a program can cause, and more. A step is a page of an event: the kernel tells of at most 2,048 at once, and a
 * request is for fewer. A word is 64 pages that an operation asks for: a model of 40 GB asks for 160,000 a token. */
enum { STEPS_LEAST = 1 << 24, STEPS_EACH = 4096 };
#define WORDS_MAX ((uint64_t) 1 << 30)

enum stream { STREAM_FAULT_BEGINS, STREAM_PAGES, STREAM_REQUEST_ENDS, STREAM_FAULT_ENDS, STREAMS };

/* Who touched a page, or waited for it; and the bytes that are known to be touched. */
struct toucher {
    uint64_t begin, end;
    enum tat_place place;
    int64_t ns;
    uint32_t evaluation, token, node;
    uint16_t op;
    bool late; /* a fault waited, although the page was read ahead */
};

struct pass {
    struct joined * joined;
    struct cache * cache;
    struct page_map map;
    uint32_t * begins; /* faults that wait for the disk, in the order of their beginnings */
    size_t count[STREAMS], at[STREAMS];
    bool in_operation;
    struct list left;    /* struct left_page: during the operation at hand */
    struct list * pages; /* as cache_find takes it */
    uint64_t steps, steps_max, words;
    size_t curve_at; /* the next time of the curve */
    uint32_t resident[CURVE_FILES][CURVE_PARTS];
    uint64_t part_pages[CURVE_FILES]; /* of a part of the curve; 0: the file is not in it */
    bool memory;
};

struct left_page {
    uint64_t page;
    uint32_t file;
};

/* ---- fates.c ---- */

/* The page's arrival has found its end. */
void fate_settle(struct pass * p, uint32_t file, uint64_t number, struct page * page, const struct toucher * who,
                 bool demanded);
void fate_in_vain(struct pass * p, uint32_t file, uint64_t number, struct page * page, int64_t ns);
/* A part of a request of which somebody waits for that page. */
void fate_of_part(const struct pass * p, struct tat_placed * part, uint64_t number, const struct toucher * who,
                  bool demanded);
struct toucher toucher_of_fault(const struct pass * p, uint32_t fault);
struct toucher toucher_of_page(const struct pass * p, uint64_t number, const struct page * page);
void fates_end(struct pass * p); /* of what is pending when the recording ends */

/* ---- pass_events.c ---- */

bool pass_events_begin(struct pass * p);
/* All events until then. False: no further, as there are too many or memory is short. */
bool pass_events_until(struct pass * p, int64_t ns);
void pass_in_memory(struct pass * p, uint32_t file, const struct tat_io_run * run);
void pass_curve_until(struct pass * p, int64_t ns);

static inline bool pass_goes_on(const struct pass * p) {
    return p->memory && !p->map.failed && !p->map.cut && !p->joined->cut && p->steps < p->steps_max &&
           p->words < WORDS_MAX;
}

#endif
