/* SPDX-License-Identifier: MIT
 *
 * I/O events in the order of time, and what each does to pages.
 */
#include <stdlib.h>

#include "analysis/storage/pass.h"

static uint64_t of_ns(const struct pass * p, enum stream stream) {
    const struct tat_io * io = p->joined->io;
    const size_t at = p->at[stream];
    switch (stream) {
        case STREAM_FAULT_BEGINS: {
            const struct tat_io_fault * f = &io->faults[p->begins[at]];
            return f->end_ns - f->duration_ns;
        }
        case STREAM_PAGES: return io->pages[at].ns;
        case STREAM_REQUEST_ENDS: return io->requests[p->joined->requests[at].event].end_ns;
        default: return io->faults[at].end_ns;
    }
}

static struct page * page_of(struct pass * p, uint32_t file, uint64_t number, struct chunk ** chunk) {
    *chunk = page_map_make(&p->map, file, number);
    p->steps++;
    return *chunk ? &(*chunk)->page[number % CHUNK_PAGES] : NULL;
}

/* ---- residency ---- */

static uint32_t * curve_part(struct pass * p, uint32_t file, uint64_t number) {
    const uint64_t pages = file <= CURVE_FILES ? p->part_pages[file - 1] : 0;
    return pages && number / pages < CURVE_PARTS ? &p->resident[file - 1][number / pages] : NULL;
}

static void set_here(struct pass * p, uint32_t file, uint64_t number, struct page * page, bool here) {
    uint32_t * part = curve_part(p, file, number);
    const bool was = page->flags & PAGE_HERE;
    if (was == here) { return; }
    page->flags = (uint8_t) (page->flags ^ PAGE_HERE);
    if (part) { *part += here ? 1u : -1u; }
}

void pass_in_memory(struct pass * p, uint32_t file, const struct tat_io_run * run) {
    for (uint64_t i = 0; i < run->count && pass_goes_on(p); i++) {
        struct chunk * c;
        struct page * page = page_of(p, file, run->first + i, &c);
        if (page) { set_here(p, file, run->first + i, page, true); }
    }
}

void pass_curve_until(struct pass * p, int64_t ns) {
    struct cache * c = p->cache;
    const int64_t step = (c->curve.end_ns - c->curve.begin_ns) / CURVE_TIMES;
    while (c->curve.pages && p->curve_at < CURVE_TIMES &&
           c->curve.begin_ns + step * ((int64_t) p->curve_at + 1) <= ns) {
        for (int f = 0; f < CURVE_FILES; f++) {
            for (int i = 0; i < CURVE_PARTS; i++) { c->curve.pages[p->curve_at][f][i] = p->resident[f][i]; }
        }
        p->curve_at++;
    }
}

/* ---- each event ---- */

/* A page that is there from `ns` on, and was asked of the disk at `begin_ns`. */
struct coming {
    int64_t begin_ns, ns;
    uint32_t event;
    uint32_t part; /* 1 + that of the request that read it, or 0 */
    uint8_t when;
};

/* Whoever waits for a page that had been asked for before waits for what was read ahead. */
static bool demanded(const struct pass * p, const struct page * page, int64_t begin_ns) {
    return p->joined->faults[page->fault - 1].begin_ns <= begin_ns;
}

static void come(struct pass * p, uint32_t file, uint64_t number, const struct coming * coming) {
    struct chunk * c;
    struct page * page = page_of(p, file, number, &c);
    if (!page) { return; }
    if (page_pending(c, number)) { fate_in_vain(p, file, number, page, coming->ns); }
    page_set_pending(c, number, !page->fault);
    page->flags &= (uint8_t) ~(PAGE_LEFT | PAGE_TOUCHED);
    page->came++;
    page->came_ns = coming->ns;
    page->event = coming->event;
    page->when = coming->when;
    page->part = coming->part;
    set_here(p, file, number, page, true);
    if (page->fault) {
        struct toucher who = toucher_of_fault(p, page->fault - 1);
        who.late = !demanded(p, page, coming->begin_ns);
        fate_settle(p, file, number, page, &who, !who.late);
    }
}

/* What was touched by the operation at hand, if it was, shows when that ends. */
static void leave(struct pass * p, uint32_t file, uint64_t number, int64_t ns) {
    struct chunk * c = page_map_chunk(&p->map, file, number);
    p->steps++;
    p->cache->left++;
    if (!c) { return; }
    struct page * page = &c->page[number % CHUNK_PAGES];
    set_here(p, file, number, page, false);
    if (!page_pending(c, number)) { return; }
    struct left_page * left = p->in_operation ? list_add(&p->left, sizeof *left) : NULL;
    if (left) {
        *left = (struct left_page){ number, file };
        page->flags |= PAGE_LEFT;
    } else {
        fate_in_vain(p, file, number, page, ns);
        page_set_pending(c, number, false);
    }
}

static void see_pages(struct pass * p, const struct tat_io_pages * e) {
    const struct joined * j = p->joined;
    const uint32_t file = e->file && e->file <= j->io->n_files ? j->bytes.file_of[e->file - 1] : 0;
    const struct tat_placed placed = placed_at(j, e->ns, 0);
    const struct coming coming = { placed.end_ns, placed.end_ns, (uint32_t) (e - j->io->pages), 0, placed.when };
    for (uint64_t i = 0; file && i < e->count && pass_goes_on(p); i++) {
        if (e->left) {
            leave(p, file, e->first + i, placed.end_ns);
        } else {
            come(p, file, e->first + i, &coming);
        }
    }
}

/* Where the page cache was not seen, a page comes when the request that reads it ends. */
static void see_request(struct pass * p, uint32_t number) {
    struct tat_placed * part = &p->joined->requests[number];
    const uint64_t page_bytes = p->joined->bytes.page_bytes;
    const struct coming coming = { part->begin_ns, part->end_ns, part->event, number + 1, part->when };
    if (!part->file || !part->bytes) { return; }
    for (uint64_t i = part->offset / page_bytes; i <= (part->offset + part->bytes - 1) / page_bytes; i++) {
        struct chunk * c;
        struct page * page = pass_goes_on(p) ? page_of(p, part->file, i, &c) : NULL;
        if (!page) { return; }
        const bool first = p->cache->source == TAT_IO_SOURCE_REQUESTS
                               ? !page->came || page->event != part->event || page->came_ns != part->end_ns
                               : !page->part || p->joined->requests[page->part - 1].event != part->event;
        if (page->fault) {
            const struct toucher who = toucher_of_fault(p, page->fault - 1);
            fate_of_part(p, part, i, &who, demanded(p, page, part->begin_ns));
        }
        if (!page->fault && page->flags & PAGE_TOUCHED && p->cache->source == TAT_IO_SOURCE_PAGES) {
            /* Thread 0 left the operation while another waited for what it reads. */
            const struct toucher who = toucher_of_page(p, i, page);
            fate_of_part(p, part, i, &who, false);
        }
        if (!first) { continue; } /* a page that two parts have */
        if (p->cache->source == TAT_IO_SOURCE_REQUESTS) {
            come(p, part->file, i, &coming);
        } else if (page_pending(c, i)) {
            page->part = number + 1;
        }
    }
}

static struct page * page_of_fault(struct pass * p, uint32_t number, struct chunk ** chunk) {
    const struct tat_placed * f = &p->joined->faults[number];
    return f->file ? page_of(p, f->file, f->offset / p->joined->bytes.page_bytes, chunk) : NULL;
}

/* Of several that wait for a page, the last to end stands for all. */
static void see_fault_begin(struct pass * p, uint32_t number) {
    struct chunk * c;
    struct page * page = page_of_fault(p, number, &c);
    if (page && page->fault < number + 1) { page->fault = number + 1; }
}

/* Whoever has a page mapped by a fault touches it. */
static void see_fault_end(struct pass * p, uint32_t number) {
    const struct tat_placed * f = &p->joined->faults[number];
    struct chunk * c = f->file ? page_map_chunk(&p->map, f->file, f->offset / p->joined->bytes.page_bytes) : NULL;
    const uint64_t at = f->offset / p->joined->bytes.page_bytes;
    if (!c) { return; }
    struct page * page = &c->page[at % CHUNK_PAGES];
    if (page->fault == number + 1) { page->fault = 0; }
    if (!page_pending(c, at) || page->flags & PAGE_LEFT) { return; }
    struct toucher who = toucher_of_fault(p, number);
    who.late = is_major(fault_of(p->joined, f));
    page_set_pending(c, at, false);
    fate_settle(p, f->file, at, page, &who, false);
}

static void see(struct pass * p, enum stream stream) {
    const size_t at = p->at[stream]++;
    p->steps++;
    switch (stream) {
        case STREAM_FAULT_BEGINS: see_fault_begin(p, p->begins[at]); break;
        case STREAM_PAGES: see_pages(p, &p->joined->io->pages[at]); break;
        case STREAM_REQUEST_ENDS: see_request(p, (uint32_t) at); break;
        default: see_fault_end(p, (uint32_t) at);
    }
}

/* ---- in order ---- */

static int by_begin(const void * a, const void * b, void * faults) {
    const struct tat_io_fault *x = (const struct tat_io_fault *) faults + *(const uint32_t *) a,
                              *y = (const struct tat_io_fault *) faults + *(const uint32_t *) b;
    const uint64_t p = x->end_ns - x->duration_ns, q = y->end_ns - y->duration_ns;
    return p != q ? (p < q ? -1 : 1) : x < y ? -1 : x > y;
}

bool pass_events_begin(struct pass * p) {
    const struct joined * j = p->joined;
    p->begins = malloc((j->io->n_faults + 1) * sizeof *p->begins);
    if (!p->begins) { return false; }
    for (uint32_t i = 0; i < j->io->n_faults; i++) {
        if (is_major(&j->io->faults[i]) && j->faults[i].file) { p->begins[p->count[STREAM_FAULT_BEGINS]++] = i; }
    }
    qsort_r(p->begins, p->count[STREAM_FAULT_BEGINS], sizeof *p->begins, by_begin, j->io->faults);
    p->count[STREAM_PAGES] = p->cache->source == TAT_IO_SOURCE_PAGES ? j->io->n_pages : 0;
    p->count[STREAM_REQUEST_ENDS] = j->n_requests;
    p->count[STREAM_FAULT_ENDS] = j->io->n_faults;
    return true;
}

bool pass_events_until(struct pass * p, int64_t ns) {
    const uint64_t until = p->joined->start_ns + (uint64_t) ns;
    while (pass_goes_on(p)) {
        enum stream next = STREAMS;
        uint64_t first = 0;
        for (enum stream i = 0; i < STREAMS; i++) {
            if (p->at[i] == p->count[i]) { continue; }
            const uint64_t at = of_ns(p, i);
            if (next == STREAMS || at < first) {
                next = i;
                first = at;
            }
        }
        if (next == STREAMS || (ns != INT64_MAX && first > until)) { return true; }
        pass_curve_until(p, (int64_t) (first - p->joined->start_ns) - 1);
        see(p, next);
    }
    return false;
}
