/* SPDX-License-Identifier: MIT
 *
 * Access records of evaluations: the template's plan, with times, tokens and what the captures say filled in.
 */
#include "format/expand_state.h"

struct filler {
    const uint64_t * start_ns;
    uint32_t n_times, evaluation, token;
    uint16_t flags;
};

static inline void fill(struct tat_access * a, const struct tat_access * from, const struct filler * f) {
    const uint32_t callback = (uint32_t) from->start_ns;
    *a = *from;
    a->evaluation = f->evaluation;
    a->token = f->token;
    a->flags = (uint16_t) (from->flags | f->flags);
    a->start_ns = f->start_ns[callback];
    a->duration_ns = from->duration_ns & duration_of(f->start_ns, callback);
}

/* Copies plain records, as many at a time as the batch takes. Most of the time is spent in this loop. */
static void put_plain(struct expansion * x, const struct tat_access * from, uint32_t n, const struct filler * f) {
    while (n && !x->stopped) {
        if (x->n_batch == BATCH) { expansion_flush(x); }
        const uint32_t room = (uint32_t) (BATCH - x->n_batch), now = n < room ? n : room;
        struct tat_access * to = x->batch + x->n_batch;
        for (uint32_t i = 0; i < now; i++) { fill(&to[i], &from[i], f); }
        x->n_batch += now;
        from += now;
        n -= now;
    }
}

/* A walk over the ranges of a pick, from the first record to the last. */
struct picking {
    const struct picked * at;
    const struct picked * end;
};

/* The picked ones of records [from, to). */
static void put_picked(struct expansion * x, const struct plan * plan, uint32_t from, uint32_t to,
                       struct picking * picking, const struct filler * f) {
    while (picking->at < picking->end && picking->at->first < to) {
        const uint32_t first = picking->at->first > from ? picking->at->first : from;
        const uint32_t end = picking->at->end < to ? picking->at->end : to;
        if (first < end) { put_plain(x, plan->records + first, end - first, f); }
        if (picking->at->end > to) { return; }
        picking->at++;
    }
}

static bool is_picked(const struct picking * picking, uint32_t record) {
    const struct picked * at = picking->at;
    while (at < picking->end && at->end <= record) { at++; }
    return at < picking->end && at->first <= record;
}

bool expansion_put(struct expansion * x, uint32_t number, const struct plan * plan, const struct pick * pick) {
    const struct tat_evaluation * e = &LIST(struct tat_evaluation, x->trace->evaluations)[number];
    const struct tat_template * t = &LIST(struct tat_template, x->trace->templates)[e->template_id];
    const struct picked all = { 0, plan->n_records };
    struct picking picking = { &all, &all + 1 };
    if (pick) { picking = (struct picking){ pick->ranges, pick->ranges + pick->count }; }
    if (!bodies_may_work(&x->bodies, plan->n_records) || !expansion_at(x, number)) { return false; }
    const uint32_t n_times = expansion_times(x, number);
    const bool varies = pick ? pick->varies : plan->n_varies > 0;
    if (!x->start_ns || (varies && !expansion_ids(x, number))) { return false; }
    const struct filler f = { x->start_ns, n_times, number, e->token_first,
                              (uint16_t) ((unsigned) e->phase << TAT_ACCESS_PHASE_SHIFT) };
    const uint32_t n = plan_records_before(plan, n_times);
    uint32_t at = 0;
    for (uint32_t i = 0; i < plan->n_varies && plan->varies[i].record < n && !x->stopped; i++) {
        const struct vary * v = &plan->varies[i];
        put_picked(x, plan, at, v->record, &picking, &f);
        at = v->record + v->n_records;
        if (!is_picked(&picking, v->record)) { continue; }
        for (uint32_t r = 0; r < v->n_records; r++) {
            struct tat_access like;
            fill(&like, &plan->records[v->record + r], &f);
            if (!expansion_varying(x, t, v, &like)) { return false; }
        }
    }
    if (at < n) { put_picked(x, plan, at, n, &picking, &f); }
    return true;
}

static bool expand_one(struct expansion * x, uint32_t number) {
    const struct tat_evaluation * e = &LIST(struct tat_evaluation, x->trace->evaluations)[number];
    if (evaluation_is_bare(e)) { return true; }
    const struct plan * plan = plan_of(x->trace, e->template_id, e->rule);
    return plan && expansion_put(x, number, plan, NULL);
}

int tat_trace_expand(const struct tat_trace * trace, uint32_t first, uint32_t last, tat_access_sink sink, void * user,
                     struct tat_error * error) {
    struct expansion x;
    bool good = expansion_begin(&x, trace, sink, user);
    if (last > trace->evaluations.count) { last = trace->evaluations.count; }
    for (uint32_t i = first; i < last && good && !x.stopped; i++) { good = expand_one(&x, i); }
    if (good) { expansion_flush(&x); }
    const int status = good ? x.stopped : expansion_fail(&x, error);
    expansion_end(&x);
    return status;
}
