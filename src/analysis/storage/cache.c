/* SPDX-License-Identifier: MIT */
#include "analysis/storage/cache.h"

#include <stdlib.h>

#include "analysis/parts.h"
#include "analysis/storage/pass.h"

void order_add(struct order_sum * o, uint32_t file, uint64_t begin, uint64_t end, uint64_t page_bytes) {
    const uint64_t ahead = begin - o->last, back = o->last - begin;
    if (o->begun) {
        const bool same = file == o->file;
        ++*(same && ahead < page_bytes                          ? &o->sequential
            : same && (ahead < NEAR_BYTES || back < NEAR_BYTES) ? &o->near
                                                                : &o->random);
    }
    *o = (struct order_sum){ o->sequential, o->near, o->random, end, file, true };
}

/* ---- what operations want ---- */

/* Bytes of a mapped file. */
struct want {
    uint64_t begin, end;
    uint32_t file, slice, node;
    uint16_t op;
};

struct asking {
    struct pass * pass;
    struct list operation; /* struct want: of the operation at hand, or of those that have one time */
    struct list graph;     /* struct want: of the evaluation at hand */
    uint32_t evaluation;
    int64_t begin_ns, end_ns; /* of the operation */
};

static struct toucher toucher_of(const struct asking * a, const struct want * w) {
    return (struct toucher){ .begin = w->begin,
                             .end = w->end,
                             .place = TAT_PLACE_OPERATION,
                             .ns = a->end_ns,
                             .evaluation = a->evaluation,
                             .token = a->pass->joined->subject->evaluations[a->evaluation].token_first,
                             .node = w->node,
                             .op = w->op };
}

static void touch_word(struct asking * a, const struct want * w, struct chunk * c, uint64_t first, uint64_t bits) {
    const struct toucher who = toucher_of(a, w);
    for (; bits; bits &= bits - 1) {
        const uint64_t number = first + (uint64_t) __builtin_ctzll(bits);
        struct page * page = &c->page[number % CHUNK_PAGES];
        page->flags &= (uint8_t) ~PAGE_LEFT;
        fate_settle(a->pass, w->file, number, page, &who, false);
    }
}

/* Of the pages from `first` to `last`, those that came and were not touched yet. */
static void touch(struct asking * a, const struct want * w) {
    const uint64_t page_bytes = a->pass->joined->bytes.page_bytes, last = (w->end - 1) / page_bytes;
    for (uint64_t at = w->begin / page_bytes; at <= last && pass_goes_on(a->pass);) {
        struct chunk * c = page_map_chunk(&a->pass->map, w->file, at);
        const uint64_t end_of = c ? at / 64 * 64 + 63 : at / CHUNK_PAGES * CHUNK_PAGES + CHUNK_PAGES - 1;
        const uint64_t end = end_of < last ? end_of : last;
        a->pass->words++;
        if (c) {
            uint64_t * word = &c->pending[at % CHUNK_PAGES / 64];
            const uint64_t mask = UINT64_MAX << at % 64 & UINT64_MAX >> (63 - end % 64), bits = *word & mask;
            if (bits) { touch_word(a, w, c, at / 64 * 64, bits); }
            *word &= ~bits;
        }
        at = end + 1;
    }
}

/* What left during the operation was touched by it if it is one of its pages: had it left before, it would have come
 * again. */
static void end_operation(struct asking * a) {
    struct pass * p = a->pass;
    pass_events_until(p, a->begin_ns);
    p->in_operation = true;
    pass_events_until(p, a->end_ns);
    p->in_operation = false;
    for (uint32_t i = 0; i < a->operation.count; i++) { touch(a, &LIST(struct want, a->operation)[i]); }
    for (uint32_t i = 0; i < p->left.count; i++) {
        const struct left_page * left = &LIST(struct left_page, p->left)[i];
        struct chunk * c = page_map_chunk(&p->map, left->file, left->page);
        struct page * page = &c->page[left->page % CHUNK_PAGES];
        if (!(page->flags & PAGE_LEFT) || !page_pending(c, left->page)) { continue; }
        page->flags &= (uint8_t) ~PAGE_LEFT;
        fate_in_vain(p, left->file, left->page, page, a->end_ns);
        page_set_pending(c, left->page, false);
    }
    p->left.count = a->operation.count = 0;
}

/* ---- bytes wanted ---- */

static int by_place(const void * a, const void * b) {
    const struct want *x = a, *y = b;
    if (x->file != y->file) { return x->file < y->file ? -1 : 1; }
    if (x->begin != y->begin) { return x->begin < y->begin ? -1 : 1; }
    return x->end < y->end ? -1 : x->end > y->end;
}

static void end_graph(struct asking * a) {
    struct cache * c = a->pass->cache;
    struct want * w = a->graph.data;
    const uint32_t n = a->graph.count;
    uint64_t to = 0, *when = &c->wanted[a->pass->joined->subject->evaluations[a->evaluation].phase];
    end_operation(a);
    if (n) { qsort(w, n, sizeof *w, by_place); }
    for (uint32_t i = 0; i < n; i++) {
        if (i == 0 || w[i].file != w[i - 1].file) { to = 0; }
        const uint64_t from = w[i].begin > to ? w[i].begin : to;
        if (w[i].end <= from) { continue; }
        *when += w[i].end - from;
        c->wanted_of[w[i].slice] += w[i].end - from;
        to = w[i].end;
    }
    a->graph.count = 0;
}

/* ---- records ---- */

static void want(struct asking * a, struct want w) {
    struct pass * p = a->pass;
    struct want *one = list_add(&a->operation, sizeof *one), *other = list_add(&a->graph, sizeof *other);
    p->memory &= one && other;
    p->words++;
    if (!one || !other) { return; }
    *one = *other = w;
    order_add(&p->cache->asked, w.file, w.begin, w.end, p->joined->bytes.page_bytes);
}

static void see_record(struct asking * a, const struct tat_access * record) {
    const struct joined * j = a->pass->joined;
    const struct subject * s = j->subject;
    const struct tat_tensor * t = &s->tensors[record->tensor];
    if (t->memory != TAT_MEMORY_FILE || !t->file || t->file > s->n_files || !record->bytes) { return; }
    struct tat_access one = *record;
    one.tensor = t->weight;
    const uint32_t slice = slice_of(&j->bytes.slices, &one);
    const struct range r = access_range(s, record, 0);
    struct want w = { .file = j->bytes.same[t->file],
                      .slice = slice == NO_SLICE ? j->bytes.slices.count : slice,
                      .node = record->node,
                      .op = record->op };
    for (uint64_t i = 0; i < r.count && pass_goes_on(a->pass); i++) {
        w.begin = r.from + i * r.stride;
        w.end = w.begin + r.bytes;
        if (w.end > w.begin && w.end < UINT64_MAX / 2) { want(a, w); }
    }
}

/* Records without a time of their own, as of the second of two fused nodes, belong to the operation before. */
static bool take_records(const struct tat_access * records, size_t count, void * user) {
    struct asking * a = user;
    for (size_t i = 0; i < count; i++) {
        const struct tat_access * r = &records[i];
        const struct joined * j = a->pass->joined;
        if (!is_recorded(j, &j->subject->evaluations[r->evaluation])) { continue; }
        const int64_t end = (int64_t) (r->start_ns + r->duration_ns);
        if (r->evaluation != a->evaluation) {
            if (a->evaluation != TAT_NO_NUMBER) { end_graph(a); }
            a->evaluation = r->evaluation;
            a->end_ns = INT64_MIN;
        }
        if (r->duration_ns && !(r->flags & TAT_ACCESS_UNTIMED) && end != a->end_ns) {
            if (a->end_ns != INT64_MIN) { end_operation(a); }
            a->begin_ns = (int64_t) r->start_ns;
            a->end_ns = end;
        }
        see_record(a, r);
    }
    return pass_goes_on(a->pass);
}

/* ---- all ---- */

static void find_source(struct cache * c, const struct tat_io * io) {
    const bool requests = io->recorded[TAT_IO_SOURCE_REQUESTS] || io->n_requests;
    c->source = io->recorded[TAT_IO_SOURCE_PAGES] || io->n_pages ? TAT_IO_SOURCE_PAGES
                : requests                                       ? TAT_IO_SOURCE_REQUESTS
                                                                 : 0;
}

static void find_copied(struct cache * c, const struct joined * j) {
    const struct model_bytes * b = &j->bytes;
    for (uint32_t i = 0; i < b->n_weights; i++) {
        const uint32_t t = b->weights[i];
        if (!b->mapped[t]) { c->copied += j->subject->tensors[t].bytes; }
    }
}

/* From the first page to the last, or to the end of the last graph. */
static bool begin_curve(struct pass * p) {
    const struct joined * j = p->joined;
    struct cache * c = p->cache;
    const struct subject * s = j->subject;
    int64_t last = 0;
    for (uint32_t i = 0; i < s->n_evaluations; i++) {
        if ((int64_t) s->evaluations[i].end_ns > last) { last = (int64_t) s->evaluations[i].end_ns; }
    }
    if (j->until_ns < last) { last = j->until_ns; }
    c->curve.end_ns = last;
    if (c->source != TAT_IO_SOURCE_PAGES || !j->io->n_pages) { return true; }
    const int64_t end = (int64_t) (j->io->pages[j->io->n_pages - 1].ns - j->start_ns);
    c->curve.begin_ns = (int64_t) (j->io->pages[0].ns - j->start_ns);
    if (end > last) { c->curve.end_ns = end; }
    if (c->curve.end_ns - c->curve.begin_ns < CURVE_TIMES) { return true; }
    for (uint32_t f = 0; f < CURVE_FILES && f < s->n_files; f++) {
        const uint64_t pages = s->files[f].size / j->bytes.page_bytes + 1;
        p->part_pages[f] = j->bytes.same[f + 1] == f + 1 ? pages / CURVE_PARTS + 1 : 0;
    }
    c->curve.pages = calloc(CURVE_TIMES, sizeof *c->curve.pages);
    return c->curve.pages != NULL;
}

static bool begin(struct pass * p) {
    struct cache * c = p->cache;
    const struct joined * j = p->joined;
    const size_t slices = (size_t) j->bytes.slices.count + 1;
    const size_t events = j->io->n_faults + j->io->n_pages + j->n_requests + j->io->n_residency;
    p->steps_max = STEPS_LEAST + STEPS_EACH * (uint64_t) events;
    find_source(c, j->io);
    find_copied(c, j);
    c->slice = calloc(slices, sizeof *c->slice);
    c->wanted_of = calloc(slices, sizeof *c->wanted_of);
    return c->slice && c->wanted_of && begin_curve(p) && pass_events_begin(p) &&
           page_map_begin(&p->map, j->subject->n_files, events);
}

/* What was in memory when the first page came or left. */
static void begin_residency(struct pass * p) {
    const struct joined * j = p->joined;
    const struct tat_io * io = j->io;
    if (!p->cache->curve.pages) { return; }
    for (size_t i = 0; i < io->n_residency && io->residency[i].ns <= io->pages[0].ns; i++) {
        const struct tat_io_residency * sample = &io->residency[i];
        const uint32_t file = sample->file && sample->file <= io->n_files ? j->bytes.file_of[sample->file - 1] : 0;
        for (size_t k = 0; file && k < sample->n_runs; k++) { pass_in_memory(p, file, &sample->runs[k]); }
    }
}

static int walk(struct pass * p, struct tat_error * error) {
    struct asking a = { .pass = p, .evaluation = TAT_NO_NUMBER };
    const struct subject * s = p->joined->subject;
    begin_residency(p);
    const int status = subject_expand(s, take_records, &a, error);
    if (a.evaluation != TAT_NO_NUMBER) { end_graph(&a); }
    pass_events_until(p, INT64_MAX);
    pass_curve_until(p, INT64_MAX);
    if (p->memory && !p->map.failed && p->map.file) { fates_end(p); }
    p->joined->cut |= !pass_goes_on(p);
    free(a.operation.data);
    free(a.graph.data);
    return status < 0 ? -1 : 0;
}

int cache_find(struct cache * c, struct joined * j, struct list * pages, struct tat_error * error) {
    struct pass p = { .joined = j, .cache = c, .pages = pages, .memory = true };
    *c = (struct cache){ 0 };
    int status = begin(&p) ? walk(&p, error) : tat_fail(error, TAT_ERROR_SYSTEM, "out of memory");
    if (status == 0 && (!p.memory || p.map.failed)) { status = tat_fail(error, TAT_ERROR_SYSTEM, "out of memory"); }
    page_map_free(&p.map, j->subject->n_files);
    free(p.begins);
    free(p.left.data);
    return status;
}

void cache_free(struct cache * c) {
    free(c->slice);
    free(c->wanted_of);
    free(c->curve.pages);
}
