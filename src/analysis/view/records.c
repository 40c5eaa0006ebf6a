/* SPDX-License-Identifier: MIT */
#include "analysis/view/records.h"

#include "analysis/view/records_parts.h"

enum { GAP = 16 }; /* evaluations without a record that passes, which a walk steps over rather than begin anew */

/* ---- pages in the order of time ---- */

struct gathering {
    uint64_t skip;
    struct tat_access * rows;
    uint32_t count, most;
};

static bool gather(const struct tat_access * records, size_t count, void * user) {
    struct gathering * g = user;
    const size_t skip = g->skip < count ? (size_t) g->skip : count;
    g->skip -= skip;
    const size_t room = g->most - g->count, n = count - skip < room ? count - skip : room;
    memcpy(g->rows + g->count, records + skip, n * sizeof *records);
    g->count += (uint32_t) n;
    return g->count < g->most;
}

/* The evaluation that has this record. */
static uint32_t evaluation_at(const struct view_records * v, const struct records_kept * k, uint64_t number) {
    uint32_t low = 0, high = v->n_evaluations;
    while (high - low > 1) {
        const uint32_t middle = low + (high - low) / 2;
        if (k->before[middle] <= number) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool has_records(const struct records_kept * k, uint32_t evaluation) {
    return k->before[evaluation + 1] > k->before[evaluation];
}

/* The end of evaluations that are gone through in one walk, up to the record `end`. */
static uint32_t walk_end(const struct view_records * v, const struct records_kept * k, uint32_t first, uint64_t end) {
    uint32_t last = first + 1;
    for (uint32_t i = first + 1; i < v->n_evaluations && k->before[i] < end && i - last < GAP; i++) {
        if (has_records(k, i)) { last = i + 1; }
    }
    return last;
}

/* Records `from` up to `end`. */
static int gather_range(const struct view_records * v, const struct records_kept * k, uint64_t from, uint64_t end,
                        struct records_page * page, struct tat_error * error) {
    struct gathering g = { 0, page->rows, 0, (uint32_t) (end - from) };
    if (from == end) { return 0; }
    uint32_t at = evaluation_at(v, k, from);
    g.skip = from - k->before[at];
    while (g.count < g.most && at < v->n_evaluations) {
        if (!has_records(k, at)) {
            at++;
            continue;
        }
        const uint32_t last = walk_end(v, k, at, end);
        if (tat_filter_expand(k->filter, at, last, gather, &g, error) < 0) { return -1; }
        at = last;
    }
    page->count = g.count;
    return 0;
}

static void turn_round(struct tat_access * rows, uint32_t count) {
    for (uint32_t i = 0; i < count / 2; i++) {
        const struct tat_access a = rows[i];
        rows[i] = rows[count - 1 - i];
        rows[count - 1 - i] = a;
    }
}

static int time_page(const struct view_records * v, const struct records_kept * k, bool back,
                     struct records_page * page, uint32_t count, struct tat_error * error) {
    const uint64_t total = page->total;
    const uint64_t first = page->from < total ? page->from : total;
    const uint64_t end = total - first < count ? total : first + count;
    page->reachable = total;
    if (!back) { return gather_range(v, k, first, end, page, error); }
    if (gather_range(v, k, total - end, total - first, page, error) != 0) { return -1; }
    turn_round(page->rows, page->count);
    return 0;
}

/* ---- near a time ---- */

struct seeking {
    uint64_t ns, passed;
};

static bool seek(const struct tat_access * records, size_t count, void * user) {
    struct seeking * s = user;
    for (size_t i = 0; i < count; i++, s->passed++) {
        if (records[i].start_ns + records[i].duration_ns > s->ns) { return false; }
    }
    return true;
}

/* The first record that ends later, in an evaluation that does; the last one of all if there is none. */
static int number_near(const struct view_records * v, const struct records_kept * k, uint64_t ns, uint64_t * number,
                       struct tat_error * error) {
    uint32_t n;
    const struct tat_evaluation * e = tat_trace_evaluations(v->trace, &n);
    const uint64_t total = k->before[v->n_evaluations];
    *number = total ? total - 1 : 0;
    for (uint32_t i = 0; i < v->n_evaluations; i++) {
        struct seeking s = { ns, 0 };
        if (e[i].end_ns <= ns || !has_records(k, i)) { continue; }
        if (tat_filter_expand(k->filter, i, i + 1, seek, &s, error) < 0) { return -1; }
        if (k->before[i] + s.passed < total) { *number = k->before[i] + s.passed; }
        return 0;
    }
    return 0;
}

/* The first record of the graph that computed a token, or of a later one; the last one of all if there is none. */
static uint64_t number_of_token(const struct view_records * v, const struct records_kept * k, uint32_t token) {
    uint32_t n;
    const struct tat_evaluation * e = tat_trace_evaluations(v->trace, &n);
    const uint64_t total = k->before[v->n_evaluations];
    for (uint32_t i = 0; i < v->n_evaluations; i++) {
        const bool counts = e[i].phase != TAT_PHASE_WARMUP && e[i].n_tokens > 0;
        if (counts && token < (uint64_t) e[i].token_first + e[i].n_tokens && has_records(k, i)) { return k->before[i]; }
    }
    return total ? total - 1 : 0;
}

/* ---- pages in other orders ---- */

static int sorted_page(struct view_records * v, struct records_kept * k, enum records_order order,
                       struct records_page * page, uint32_t count, struct tat_error * error) {
    if (records_find_sorted(v, k, order, error) != 0) { return -1; }
    const uint32_t n = k->n_sorted[order];
    page->reachable = n;
    if (page->from >= n) { return 0; }
    page->count = n - page->from < count ? (uint32_t) (n - page->from) : count;
    memcpy(page->rows, k->sorted[order] + page->from, page->count * sizeof *page->rows);
    return 0;
}

/* ---- one operation ---- */

struct operation {
    uint32_t node;
    struct list rows; /* struct tat_access */
    bool good;
};

static bool take_node(const struct tat_access * records, size_t count, void * user) {
    struct operation * o = user;
    for (size_t i = 0; i < count && o->good; i++) {
        if (records[i].node != o->node) { continue; }
        struct tat_access * a = list_add(&o->rows, sizeof *a);
        o->good = a != NULL;
        if (a) { *a = records[i]; }
    }
    return o->good;
}

static int operation_page(struct view_records * v, const struct records_query * query, struct records_page * page,
                          uint32_t count, struct tat_error * error) {
    if (!query->has_graph) { return tat_fail(error, TAT_ERROR_USAGE, "node: say of which graph"); }
    struct operation o = { .node = query->node, .good = true };
    struct tat_filter * filter = records_query_filter(query, v->trace, error);
    if (!filter) { return -1; }
    int status = tat_filter_expand(filter, query->evaluation, query->evaluation + 1, take_node, &o, error);
    if (!o.good) { status = records_fail_memory(v, error); }
    if (status >= 0) {
        page->total = page->reachable = o.rows.count;
        const uint64_t first = query->from < o.rows.count ? query->from : o.rows.count;
        page->count = o.rows.count - first < count ? (uint32_t) (o.rows.count - first) : count;
        if (page->count) {
            memcpy(page->rows, LIST(struct tat_access, o.rows) + first, page->count * sizeof *page->rows);
        }
    }
    free(o.rows.data);
    tat_filter_free(filter);
    return status < 0 ? -1 : 0;
}

/* ---- any page ---- */

static int page_of(struct view_records * v, struct records_kept * k, const struct records_query * query, uint32_t count,
                   struct records_page * page, struct tat_error * error) {
    const bool back = query->order == RECORDS_BY_TIME_BACK;
    page->total = k->before[v->n_evaluations];
    if (query->order != RECORDS_BY_TIME && !back) { return sorted_page(v, k, query->order, page, count, error); }
    if (query->has_near || query->has_near_token) {
        uint64_t number = number_of_token(v, k, query->near_token);
        if (query->has_near && number_near(v, k, query->near_ns, &number, error) != 0) { return -1; }
        page->from = back && page->total ? page->total - 1 - number : number;
    }
    return time_page(v, k, back, page, count, error);
}

int view_records_page(struct view_records * v, const struct records_query * query, struct records_page * page,
                      struct tat_error * error) {
    const uint32_t count = query->count && query->count < RECORDS_PAGE_MAX ? query->count : RECORDS_PAGE_MAX;
    struct records_kept * k;
    int status = -1;
    *page = (struct records_page){ .from = query->from, .rows = malloc(count * sizeof *page->rows) };
    if (!page->rows) { return records_fail_memory(v, error); }
    if (query->has_node) {
        status = operation_page(v, query, page, count, error);
    } else if ((k = records_keep(v, query, error))) {
        status = page_of(v, k, query, count, page, error);
        records_release(v, k);
    }
    if (status != 0) { records_page_free(page); }
    return status;
}

void view_records_prepare(struct view_records * v) {
    const struct records_query all = { 0 };
    struct tat_error error;
    struct records_kept * k = records_keep(v, &all, &error);
    if (k) { records_release(v, k); }
}

void records_page_free(struct records_page * page) {
    free(page->rows);
    *page = (struct records_page){ 0 };
}
