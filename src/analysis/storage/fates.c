/* SPDX-License-Identifier: MIT
 *
 * What became of a page that came into the page cache.
 */
#include "analysis/storage/pass.h"

/* What stands at the beginning of a page; where that is no weight's, at the first weight's byte in it. */
static struct stretch stretch_of_page(const struct pass * p, uint32_t file, uint64_t number) {
    const struct model_bytes * b = &p->joined->bytes;
    const uint64_t begin = number * b->page_bytes, end = begin + b->page_bytes;
    struct stretch s = stretch_at(b, file, begin);
    while (s.tensor == TAT_NO_NUMBER && s.end < end) { s = stretch_at(b, file, s.end); }
    return s;
}

static uint32_t slice_of_page(const struct pass * p, uint32_t file, uint64_t number, struct page * page) {
    if (!page->slice) {
        const struct stretch s = stretch_of_page(p, file, number);
        const struct model_bytes * b = &p->joined->bytes;
        page->slice = 1 + (s.tensor == TAT_NO_NUMBER ? b->slices.count : stretch_slice(b, &s));
    }
    return page->slice - 1;
}

enum fate { FATE_DEMANDED, FATE_TOUCHED, FATE_LEFT, FATE_ENDED };

static uint64_t * counter_of(struct came_sum * sum, enum tat_place place, enum fate fate) {
    switch (place) {
        case TAT_PLACE_LOADED: return &sum->loaded;
        case TAT_PLACE_HEADER: return &sum->header;
        case TAT_PLACE_UNKNOWN: return &sum->unknown;
        case TAT_PLACE_NO_WEIGHT: return &sum->beside;
        case TAT_PLACE_IN_VAIN: return fate == FATE_ENDED ? &sum->unused : &sum->evicted;
        default: return fate == FATE_DEMANDED ? &sum->demanded : &sum->ahead;
    }
}

static void count(struct pass * p, uint32_t slice, const struct page * page, enum tat_place place, bool late,
                  enum fate fate) {
    struct came_sum * sums[] = { &p->cache->all, &p->cache->when[page->when], &p->cache->slice[slice] };
    for (int i = 0; i < 3; i++) {
        sums[i]->came++;
        sums[i]->again += page->came > 1;
        sums[i]->late += late && counter_of(sums[i], place, fate) == &sums[i]->ahead;
        ++*counter_of(sums[i], place, fate);
    }
}

static void set_toucher(struct tat_placed * placed, enum tat_place place, const struct toucher * who) {
    placed->place = (uint8_t) place;
    placed->evaluation = who->evaluation;
    placed->token = who->token;
    placed->node = who->node;
    placed->op = who->op;
}

static enum tat_place place_of(const struct toucher * who, bool demanded) {
    return who->place == TAT_PLACE_OPERATION && !demanded ? TAT_PLACE_AHEAD : who->place;
}

/* What was read of a weight has the first place that is true; what is of no weight keeps its own. Who touches a page on
 * the border of two slices wants one of them. */
static void settle_part(const struct pass * p, struct tat_placed * part, uint64_t number, enum tat_place place,
                        const struct toucher * who) {
    const uint64_t page_bytes = p->joined->bytes.page_bytes, begin = number * page_bytes, end = begin + page_bytes;
    const bool whole = part->offset >= begin && part->offset + part->bytes <= end;
    const bool meant = who->begin < part->offset + part->bytes && part->offset < who->end;
    if (part->tensor == TAT_NO_NUMBER || part->place > TAT_PLACE_UNKNOWN) { return; }
    if (place == TAT_PLACE_IN_VAIN) {
        const uint64_t from = part->offset > begin ? part->offset : begin;
        const uint64_t to = part->offset + part->bytes < end ? part->offset + part->bytes : end;
        part->in_vain += to > from ? to - from : 0;
    }
    if (place < part->place && (whole || meant || place >= TAT_PLACE_LOADED)) { set_toucher(part, place, who); }
}

void fate_of_part(const struct pass * p, struct tat_placed * part, uint64_t number, const struct toucher * who,
                  bool demanded) {
    settle_part(p, part, number, place_of(who, demanded), who);
}

/* All parts that the request has of the page. */
static void settle_parts(struct pass * p, uint64_t number, struct page * page, enum tat_place place,
                         const struct toucher * who) {
    const struct joined * j = p->joined;
    const uint64_t end = (number + 1) * j->bytes.page_bytes;
    if (!page->part) { return; }
    const struct tat_placed * first = &j->requests[page->part - 1];
    for (size_t i = page->part - 1; i < j->n_requests; i++) {
        struct tat_placed * part = &j->requests[i];
        if (part->event != first->event || part->file != first->file || part->offset >= end) { break; }
        settle_part(p, part, number, place, who);
    }
    page->part = 0;
}

static void list(struct pass * p, uint32_t file, uint64_t number, const struct page * page, enum tat_place place,
                 const struct toucher * who) {
    const struct model_bytes * b = &p->joined->bytes;
    struct tat_placed * placed = p->pages ? list_add(p->pages, sizeof *placed) : NULL;
    if (!placed) {
        p->memory &= !p->pages;
        return;
    }
    const struct stretch s = stretch_of_page(p, file, number);
    *placed = (struct tat_placed){ .begin_ns = page->came_ns,
                                   .end_ns = who->ns,
                                   .offset = number * b->page_bytes,
                                   .bytes = b->page_bytes,
                                   .event = page->event,
                                   .file = file,
                                   .layer = TAT_NO_LAYER };
    placed_in(p->joined, placed, &s);
    set_toucher(placed, place, who);
    placed->when = page->when;
    placed->in_vain = place == TAT_PLACE_IN_VAIN ? b->page_bytes : 0;
}

static void settle(struct pass * p, uint32_t file, uint64_t number, struct page * page, enum tat_place place,
                   const struct toucher * who, enum fate fate) {
    const struct model_bytes * b = &p->joined->bytes;
    const uint32_t slice = slice_of_page(p, file, number, page);
    if (slice == b->slices.count) {
        const uint64_t at = number * b->page_bytes;
        place = b->begins[file] != UINT64_MAX && at < b->begins[file] ? TAT_PLACE_HEADER : TAT_PLACE_NO_WEIGHT;
    } else if (place >= TAT_PLACE_OUTSIDE && fate != FATE_DEMANDED && !b->mapped[b->slices.tensor[slice]]) {
        place = TAT_PLACE_LOADED;
    } else if (place > TAT_PLACE_UNKNOWN || place == TAT_PLACE_HEADER) {
        place = TAT_PLACE_UNWANTED; /* by who wanted what is beside it in the page */
    }
    if (place == TAT_PLACE_AHEAD && who->node != TAT_NO_NUMBER) {
        page->flags |= PAGE_TOUCHED;
        page->evaluation = who->evaluation;
        page->node = who->node;
        page->op = who->op;
    }
    count(p, slice, page, place, who->late, fate);
    settle_parts(p, number, page, place, who);
    list(p, file, number, page, place, who);
}

void fate_settle(struct pass * p, uint32_t file, uint64_t number, struct page * page, const struct toucher * who,
                 bool demanded) {
    settle(p, file, number, page, place_of(who, demanded), who, demanded ? FATE_DEMANDED : FATE_TOUCHED);
}

static struct toucher nobody(int64_t ns) {
    return (struct toucher){ .ns = ns, .evaluation = TAT_NO_NUMBER, .token = TAT_NO_NUMBER, .node = TAT_NO_NUMBER };
}

void fate_in_vain(struct pass * p, uint32_t file, uint64_t number, struct page * page, int64_t ns) {
    const struct toucher who = nobody(ns);
    settle(p, file, number, page, TAT_PLACE_IN_VAIN, &who, FATE_LEFT);
}

struct toucher toucher_of_page(const struct pass * p, uint64_t number, const struct page * page) {
    const uint64_t page_bytes = p->joined->bytes.page_bytes;
    return (struct toucher){ .begin = number * page_bytes,
                             .end = (number + 1) * page_bytes,
                             .place = TAT_PLACE_OPERATION,
                             .evaluation = page->evaluation,
                             .token = p->joined->subject->evaluations[page->evaluation].token_first,
                             .node = page->node,
                             .op = page->op };
}

struct toucher toucher_of_fault(const struct pass * p, uint32_t fault) {
    const struct tat_placed * f = &p->joined->faults[fault];
    return (struct toucher){ .begin = f->offset,
                             .end = f->offset + 1,
                             .place = (enum tat_place) f->place,
                             .ns = f->end_ns,
                             .evaluation = f->evaluation,
                             .token = f->token,
                             .node = f->node,
                             .op = f->op };
}

/* Where the recording ended before the run, nobody knows what was touched later. */
void fates_end(struct pass * p) {
    const struct joined * j = p->joined;
    const enum tat_place place = j->until_ns == INT64_MAX && pass_goes_on(p) ? TAT_PLACE_IN_VAIN : TAT_PLACE_UNKNOWN;
    const struct toucher who = nobody(p->cache->curve.end_ns);
    for (uint32_t file = 1; file <= j->subject->n_files; file++) {
        for (size_t i = 0; i < p->map.file[file].n; i++) {
            struct chunk * c = p->map.file[file].chunk[i];
            for (int n = 0; c && n < CHUNK_PAGES; n++) {
                if (page_pending(c, (uint64_t) n)) {
                    settle(p, file, i * CHUNK_PAGES + (uint64_t) n, &c->page[n], place, &who, FATE_ENDED);
                }
            }
        }
    }
}
