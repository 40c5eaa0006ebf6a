/* SPDX-License-Identifier: MIT
 *
 * What a trace holds as arrays of the caller's: access records, waits, tokens, choices of experts.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "format/captures.h"
#include "format/expand_state.h"
#include "format/route.h"
#include "format/rows_from.h"
#include "tat/filter.h"

/* What was counted, and how much of it is stored. */
struct array {
    void * at;
    size_t size, capacity, count;
};

static void put(struct array * array, const void * elements, size_t n) {
    const size_t room = array->count < array->capacity ? array->capacity - array->count : 0;
    const size_t now = n < room ? n : room;
    if (now) { memcpy((char *) array->at + array->count * array->size, elements, now * array->size); }
    array->count += n;
}

/* ---- access records ---- */

struct collection {
    const struct tat_choice * choice;
    struct array array;
};

static bool wants(const struct tat_choice * c, const struct tat_access * a) {
    return (!c->tensors || c->tensors[a->tensor]) && (!c->layers || c->layers[a->layer]) &&
           (!c->experts || c->experts[a->expert]);
}

static bool collect_chosen(const struct tat_access * records, size_t count, void * user) {
    struct collection * x = user;
    for (size_t i = 0; i < count;) {
        size_t n = 0;
        while (i + n < count && wants(x->choice, &records[i + n])) { n++; }
        put(&x->array, records + i, n);
        i += n ? n : 1;
    }
    return true;
}

static bool collect_all(const struct tat_access * records, size_t count, void * user) {
    struct collection * x = user;
    put(&x->array, records, count);
    return true;
}

int tat_trace_accesses(const struct tat_trace * trace, uint32_t first, uint32_t last, const struct tat_choice * choice,
                       struct tat_access * records, size_t capacity, size_t * count, struct tat_error * error) {
    static const struct tat_choice all = { 0 };
    struct collection x = { choice ? choice : &all, { records, sizeof *records, capacity, 0 } };
    const bool * wanted = x.choice->evaluations;
    const bool parts = x.choice->tensors || x.choice->layers || x.choice->experts;
    int status = 0;
    if (last > trace->evaluations.count) { last = trace->evaluations.count; }
    for (uint32_t at = first, end; at < last && status == 0; at = end) {
        while (wanted && at < last && !wanted[at]) { at++; }
        for (end = wanted ? at : last; end < last && wanted[end];) { end++; }
        if (at < end) { status = tat_trace_expand(trace, at, end, parts ? collect_chosen : collect_all, &x, error); }
    }
    *count = x.array.count;
    return status;
}

int tat_filter_accesses(const struct tat_filter * filter, uint32_t first, uint32_t last, struct tat_access * records,
                        size_t capacity, size_t * count, struct tat_error * error) {
    struct collection x = { NULL, { records, sizeof *records, capacity, 0 } };
    const int status = tat_filter_expand(filter, first, last, collect_all, &x, error);
    *count = x.array.count;
    return status;
}

/* ---- waits ---- */

/* False: memory. */
static bool put_waits(struct expansion * x, uint32_t number, struct array * array) {
    const struct tat_evaluation * e = &LIST(struct tat_evaluation, x->trace->evaluations)[number];
    if (e->n_waits == 0 || e->flags & (TAT_EVALUATION_UNMATCHED | TAT_EVALUATION_OUTSIDE)) { return true; }
    const struct plan * plan = plan_of(x->trace, e->template_id, e->rule);
    if (!plan || !expansion_at(x, number)) { return false; }
    expansion_times(x, number);
    const uint32_t n = x->start_ns ? expansion_waits(x, number) : 0;
    if (!x->wait_ns) { return false; }
    for (uint32_t i = 0; i < n && i < plan->n_callbacks; i++) {
        if (plan->timed[i].first == NO_RECORD) { continue; }
        put(array, &(struct tat_wait){ x->wait_ns[i], number, plan->records[plan->timed[i].first].node }, 1);
    }
    return true;
}

int tat_trace_waits(const struct tat_trace * trace, uint32_t first, uint32_t last, struct tat_wait * waits,
                    size_t capacity, size_t * count, struct tat_error * error) {
    struct array array = { waits, sizeof *waits, capacity, 0 };
    struct expansion x;
    bool good = expansion_begin(&x, trace, NULL, NULL);
    if (last > trace->evaluations.count) { last = trace->evaluations.count; }
    for (uint32_t i = first; i < last && good; i++) { good = put_waits(&x, i, &array); }
    const int status = good ? 0 : expansion_fail(&x, error);
    expansion_end(&x);
    *count = array.count;
    return status;
}

/* ---- tokens ---- */

struct rows {
    struct tat_token * token;
    uint32_t count;
    const struct tat_template * tmpl;
    const struct tat_tensor * tensors;
    bool has_positions, has_ids;
};

static bool names_tokens(const struct rows * r, const struct tat_capture * c) {
    return picks_tokens(r->tmpl, r->tensors, &r->tmpl->entries[r->tmpl->n_leaves + c->node]);
}

static bool fill_rows(uint32_t capture, const int64_t * values, size_t count, void * user) {
    struct rows * r = user;
    const struct tat_capture * c = &r->tmpl->captures[capture];
    const size_t n = count < r->count ? count : r->count;
    if (c->kind == TAT_CAPTURE_POSITIONS && !r->has_positions) {
        for (size_t i = 0; i < n; i++) { r->token[i].position = values[i]; }
        r->has_positions = true;
    } else if (c->kind == TAT_CAPTURE_ROWS && !r->has_ids && names_tokens(r, c)) {
        for (size_t i = 0; i < n; i++) {
            r->token[i].id = values[i] >= 0 && values[i] <= INT32_MAX ? (int32_t) values[i] : TAT_NO_TOKEN_ID;
        }
        r->has_ids = true;
    }
    return !(r->has_positions && r->has_ids);
}

int tat_trace_tokens(const struct tat_trace * trace, uint32_t first, uint32_t last, struct tat_token * tokens,
                     size_t capacity, size_t * count, struct tat_error * error) {
    int status = 0;
    size_t total = 0;
    struct bodies bodies;
    bodies_begin(&bodies, trace);
    if (last > trace->evaluations.count) { last = trace->evaluations.count; }
    for (uint32_t i = first; i < last && status >= 0; i++) {
        const struct tat_evaluation * e = &LIST(struct tat_evaluation, trace->evaluations)[i];
        const size_t room = total < capacity ? capacity - total : 0;
        struct rows r = { .token = room ? tokens + total : NULL,
                          .count = e->n_tokens < room ? e->n_tokens : (uint32_t) room,
                          .tmpl = &LIST(struct tat_template, trace->templates)[e->template_id],
                          .tensors = LIST(struct tat_tensor, trace->tensors) };
        for (uint32_t row = 0; row < r.count; row++) {
            r.token[row] = (struct tat_token){ i, row, e->token_first + row, TAT_NO_TOKEN_ID, TAT_NO_POSITION };
        }
        if (!bodies_may_work(&bodies, e->n_tokens)) { status = bodies_fail(&bodies, error); }
        if (r.count && status >= 0) { status = each_capture(&bodies, i, fill_rows, &r, error); }
        total += e->n_tokens;
    }
    bodies_end(&bodies);
    *count = total;
    return status < 0 ? -1 : 0;
}

/* ---- routing ---- */

struct routed {
    struct route route;
    struct array * array;
    uint32_t evaluation;
    size_t at; /* index of the choice's selections in the array */
};

static void put_choice(struct routed * r, const int64_t * values) {
    r->at = r->array->count;
    for (size_t i = 0; i < r->route.count; i++) {
        const bool known = values[i] >= 0 && values[i] < TAT_NO_EXPERT;
        const struct tat_selection s = { .evaluation = r->evaluation,
                                         .row = route_row(&r->route, i / r->route.slots),
                                         .gate = NAN,
                                         .layer = r->route.layer,
                                         .slot = (uint16_t) (i % r->route.slots),
                                         .expert = known ? (uint16_t) values[i] : TAT_NO_EXPERT };
        put(r->array, &s, 1);
    }
}

static void set_gates(struct routed * r, const int64_t * values, size_t count) {
    struct tat_selection * all = r->array->at;
    for (size_t i = 0; i < count && r->at + i < r->array->capacity; i++) {
        const uint32_t bits = (uint32_t) values[i];
        memcpy(&all[r->at + i].gate, &bits, sizeof bits);
    }
}

static bool take_routing(uint32_t capture, const int64_t * values, size_t count, void * user) {
    struct routed * r = user;
    switch (route_feed(&r->route, capture, values, count)) {
        case ROUTE_CHOICE: put_choice(r, values); break;
        case ROUTE_GATES: set_gates(r, values, count); break;
        default: break;
    }
    return !r->route.failed;
}

int tat_trace_routing(const struct tat_trace * trace, uint32_t first, uint32_t last, struct tat_selection * selections,
                      size_t capacity, size_t * count, struct tat_error * error) {
    struct array array = { selections, sizeof *selections, capacity, 0 };
    struct routed r = { .array = &array };
    struct bodies bodies;
    int status = 0;
    bodies_begin(&bodies, trace);
    if (last > trace->evaluations.count) { last = trace->evaluations.count; }
    for (uint32_t i = first; i < last && status >= 0 && !r.route.failed; i++) {
        const struct tat_evaluation * e = &LIST(struct tat_evaluation, trace->evaluations)[i];
        route_begin(&r.route, &LIST(struct tat_template, trace->templates)[e->template_id],
                    LIST(struct tat_tensor, trace->tensors));
        r.evaluation = i;
        status = each_capture(&bodies, i, take_routing, &r, error);
    }
    bodies_end(&bodies);
    route_free(&r.route);
    *count = array.count;
    return r.route.failed ? tat_fail(error, TAT_ERROR_SYSTEM, "%s: out of memory", trace->path) : status < 0 ? -1 : 0;
}
