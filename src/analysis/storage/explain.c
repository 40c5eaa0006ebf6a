/* SPDX-License-Identifier: MIT
 *
 * Do waiting and computing explain the time that was measured? An execution in which no thread was in a fault computes
 * all the time. What an operation computes in the others comes from the quarter of its executions that waited least, in
 * all layers together; what they took is foretold from that and from their faults. So the sum can be wrong: if faults
 * were missing, or if something else held up the threads that waited.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/storage/section.h"
#include "analysis/token_times.h"
#include "analysis/units.h"

enum { EXECUTIONS_MAX = 1 << 22 }; /* of a longer run, every so many evaluations */

struct execution {
    uint64_t bytes; /* of weights */
    uint32_t ns, blocked_ns;
    uint16_t op;
    uint8_t phase;
    uint8_t single; /* of one token */
};

struct interval {
    int64_t begin, end;
};

/* Apart from each other, in order. */
struct intervals {
    struct interval * at;
    size_t count, next;
};

struct explaining {
    const struct joined * joined;
    struct intervals blocked;  /* when any thread was in a fault */
    struct intervals with_all; /* the same, with the time in which others ran in its place */
    struct list executions;    /* struct execution */
    struct execution now;
    int64_t begin, end; /* of the operation at hand */
    uint32_t evaluation, node, every;
    bool memory;
};

/* ---- when threads were in faults ---- */

static int by_begin(const void * a, const void * b) {
    const struct interval *x = a, *y = b;
    return x->begin != y->begin ? (x->begin < y->begin ? -1 : 1) : x->end < y->end ? -1 : x->end > y->end;
}

static void unite(struct intervals * x) {
    const size_t n = x->count;
    x->count = 0;
    if (n) { qsort(x->at, n, sizeof *x->at, by_begin); }
    for (size_t i = 0; i < n; i++) {
        struct interval * last = x->count ? &x->at[x->count - 1] : NULL;
        if (!last || x->at[i].begin > last->end) {
            x->at[x->count++] = x->at[i];
        } else if (x->at[i].end > last->end) {
            last->end = x->at[i].end;
        }
    }
}

static bool find_blocked(struct explaining * e) {
    const struct joined * j = e->joined;
    struct intervals *some = &e->blocked, *all = &e->with_all;
    some->at = malloc((j->io->n_faults + 1) * sizeof *some->at);
    all->at = malloc((j->io->n_faults + 1) * sizeof *all->at);
    if (!some->at || !all->at) { return false; }
    for (size_t i = 0; i < j->io->n_faults; i++) {
        const struct tat_placed * p = &j->faults[i];
        if (!fault_counts(j, p)) { continue; }
        some->at[some->count++] = (struct interval){ p->end_ns - (int64_t) fault_stall(fault_of(j, p)), p->end_ns };
        all->at[all->count++] = (struct interval){ p->begin_ns, p->end_ns };
    }
    unite(some);
    unite(all);
    return true;
}

/* Of the time from `begin` to `end`; asked for in order, but for contexts that overlap. */
static uint64_t time_in(struct intervals * x, int64_t begin, int64_t end) {
    uint64_t ns = 0;
    while (x->next && x->at[x->next - 1].end > begin) { x->next--; }
    while (x->next < x->count && x->at[x->next].end <= begin) { x->next++; }
    for (size_t i = x->next; i < x->count && x->at[i].begin < end; i++) {
        const struct interval * b = &x->at[i];
        ns += (uint64_t) ((b->end < end ? b->end : end) - (b->begin > begin ? b->begin : begin));
    }
    return ns;
}

/* ---- executions ---- */

static bool is_wanted(const struct explaining * e, uint32_t evaluation) {
    const struct tat_evaluation * v = &e->joined->subject->evaluations[evaluation];
    return is_recorded(e->joined, v) && is_inference(v->phase) && v->n_tokens && v->n_stamps == v->n_callbacks &&
           v->n_stamps && !(v->flags & (TAT_EVALUATION_UNMATCHED | TAT_EVALUATION_OUTSIDE | TAT_EVALUATION_ABORTED)) &&
           evaluation % e->every == 0;
}

static void end_execution(struct explaining * e) {
    if (e->now.ns) {
        struct execution * x = list_add(&e->executions, sizeof *x);
        e->memory &= x != NULL;
        e->now.blocked_ns = (uint32_t) time_in(&e->blocked, e->begin, e->end);
        if (x) { *x = e->now; }
    }
    e->now = (struct execution){ 0 };
}

static bool take_records(const struct tat_access * records, size_t count, void * user) {
    struct explaining * e = user;
    const struct subject * s = e->joined->subject;
    for (size_t i = 0; i < count; i++) {
        const struct tat_access * a = &records[i];
        if (!is_wanted(e, a->evaluation)) { continue; }
        if (a->evaluation != e->evaluation || a->node != e->node) {
            const bool timed = a->duration_ns && !(a->flags & TAT_ACCESS_UNTIMED);
            if (timed || a->evaluation != e->evaluation) { end_execution(e); }
            e->evaluation = a->evaluation;
            e->node = a->node;
            if (timed) {
                const struct tat_evaluation * v = &s->evaluations[a->evaluation];
                e->now = (struct execution){
                    .ns = a->duration_ns, .op = a->op, .phase = (uint8_t) v->phase, .single = v->n_tokens == 1
                };
                e->begin = (int64_t) a->start_ns;
                e->end = e->begin + a->duration_ns;
            }
        }
        if (s->tensors[a->tensor].kind == TAT_TENSOR_WEIGHT) { e->now.bytes += a->bytes; }
    }
    return e->memory;
}

static int find_executions(struct explaining * e, struct tat_error * error) {
    const struct subject * s = e->joined->subject;
    uint64_t all = 0;
    for (uint32_t i = 0; i < s->n_evaluations; i++) { all += s->evaluations[i].n_callbacks; }
    e->every = (uint32_t) (all / EXECUTIONS_MAX) + 1;
    e->evaluation = TAT_NO_NUMBER;
    e->memory = find_blocked(e);
    const int status = e->memory ? subject_expand(s, take_records, e, error) : -1;
    end_execution(e);
    return status < 0 || !e->memory ? -1 : 0;
}

/* ---- what operations take without waiting ---- */

static int by_kind(const void * a, const void * b) {
    const struct execution *x = a, *y = b;
    const uint64_t p[] = { x->phase, x->single, x->op, x->bytes, x->blocked_ns, x->ns };
    const uint64_t q[] = { y->phase, y->single, y->op, y->bytes, y->blocked_ns, y->ns };
    for (size_t i = 0; i < sizeof p / sizeof *p; i++) {
        if (p[i] != q[i]) { return p[i] < q[i] ? -1 : 1; }
    }
    return 0;
}

static bool same_kind(const struct execution * x, const struct execution * y) {
    return x->phase == y->phase && x->single == y->single && x->op == y->op && x->bytes == y->bytes;
}

struct foretold {
    uint64_t compute_ns, fit_ns, fit_blocked_ns;
};

/* `room` holds as many as there are executions. */
static void foretell(const struct execution * x, size_t count, uint64_t * room, struct foretold * of_phase) {
    for (size_t first = 0, next; first < count; first = next) {
        for (next = first; next < count && same_kind(&x[first], &x[next]); next++) {}
        size_t quarter = (next - first + 3) / 4;
        while (first + quarter < next && x[first + quarter].blocked_ns == x[first + quarter - 1].blocked_ns) {
            quarter++; /* the faster of those that waited alike are not more typical */
        }
        struct foretold * f = &of_phase[x[first].phase];
        for (size_t i = 0; i < quarter; i++) {
            const struct execution * one = &x[first + i];
            room[i] = one->ns > one->blocked_ns ? one->ns - one->blocked_ns : 0;
            f->fit_ns += one->ns;
            f->fit_blocked_ns += one->blocked_ns;
        }
        qsort(room, quarter, sizeof *room, by_value);
        const uint64_t typical = percentile(room, quarter, 50);
        for (size_t i = first; i < next; i++) { f->compute_ns += x[i].blocked_ns ? typical : x[i].ns; }
    }
}

/* Sorts the executions. False: no memory. */
static bool foretell_all(struct explaining * e, struct foretold of_phase[static TAT_PHASE_COUNT]) {
    struct execution * x = e->executions.data;
    const size_t count = e->executions.count;
    uint64_t * room = malloc((count + 1) * sizeof *room);
    memset(of_phase, 0, TAT_PHASE_COUNT * sizeof *of_phase);
    if (!room) { return false; }
    if (count) { qsort(x, count, sizeof *x, by_kind); }
    foretell(x, count, room, of_phase);
    free(room);
    return true;
}

/* ---- by phase ---- */

struct phase_time {
    uint64_t tokens, ns, blocked_ns;
    uint64_t all_ns; /* blocked, with the time in which others ran */
};

static struct phase_time phase_time_of(struct explaining * e, enum tat_phase phase) {
    const struct subject * s = e->joined->subject;
    struct phase_time t = { 0 };
    for (uint32_t i = 0; i < s->n_evaluations; i++) {
        const struct tat_evaluation * v = &s->evaluations[i];
        if (v->phase != phase || !is_wanted(e, i)) { continue; }
        t.tokens += v->n_tokens;
        t.ns += v->end_ns - v->begin_ns;
        t.blocked_ns += time_in(&e->blocked, (int64_t) v->begin_ns, (int64_t) v->end_ns);
        t.all_ns += time_in(&e->with_all, (int64_t) v->begin_ns, (int64_t) v->end_ns);
    }
    return t;
}

static void add_phase(struct explaining * e, struct result * r, enum tat_phase phase, const struct foretold * f) {
    const struct phase_time t = phase_time_of(e, phase);
    const uint64_t tokens = t.tokens, ns = t.ns, blocked_ns = t.blocked_ns, all_ns = t.all_ns;
    if (!tokens) { return; }
    const double unexplained = ((double) ns - (double) all_ns - (double) f->compute_ns) / (double) ns;
    json_t * row = result_row(r);
    result_put_text(r, row, "phase", tat_phase_name(phase));
    result_put_count(r, row, "tokens", tokens);
    result_put_count(r, row, "token_ns", ns / tokens);
    result_put_count(r, row, "blocked_ns", blocked_ns / tokens);
    result_put_count(r, row, "preempted_ns", (all_ns - blocked_ns) / tokens);
    result_put_count(r, row, "compute_ns", f->compute_ns / tokens);
    result_put_real(r, row, "unexplained", unexplained);
    if (phase != TAT_PHASE_GENERATE) { return; }
    char text[6][UNITS_SIZE], others[64] = "";
    json_t * values = result_values(r);
    result_put_count(r, values, "token_ns", ns / tokens);
    result_put_count(r, values, "token_blocked_ns", blocked_ns / tokens);
    result_put_count(r, values, "token_preempted_ns", (all_ns - blocked_ns) / tokens);
    result_put_count(r, values, "token_compute_ns", f->compute_ns / tokens);
    result_put_real(r, values, "token_unexplained_share", unexplained);
    result_put_real(r, values, "fit_blocked_share", ratio(f->fit_blocked_ns, f->fit_ns));
    if (all_ns > blocked_ns) {
        snprintf(others, sizeof others, ", %s in which others ran in place of a thread in a fault",
                 format_duration(text[4], (all_ns - blocked_ns) / tokens));
    }
    result_line(r, "explained",
                "a generated token takes %s on average: %s in faults%s, %s computing, %s%s (%s) unexplained",
                format_duration(text[0], ns / tokens), format_duration(text[1], blocked_ns / tokens), others,
                format_duration(text[2], f->compute_ns / tokens), unexplained < 0 ? "-" : "",
                format_duration(text[5], (uint64_t) (fabs(unexplained) * (double) ns / (double) tokens)),
                format_change(text[3], unexplained));
}

static void add_phases(struct explaining * e, struct result * r) {
    static const struct result_column columns[] = { { "phase", "phase", UNIT_TEXT },
                                                    { "tokens", "tokens", UNIT_COUNT },
                                                    { "token_ns", "mean token", UNIT_NS },
                                                    { "blocked_ns", "in faults", UNIT_NS },
                                                    { "preempted_ns", "others ran", UNIT_NS },
                                                    { "compute_ns", "computing", UNIT_NS },
                                                    { "unexplained", "unexplained", UNIT_CHANGE } };
    struct foretold of_phase[TAT_PHASE_COUNT];
    const bool known = foretell_all(e, of_phase);
    r->failed |= !known;
    if (!known || !e->executions.count) { return; }
    result_table(r, "explained", "What a token's time is made of", SHOW_ALWAYS, columns,
                 sizeof columns / sizeof columns[0]);
    for (int i = 0; i < TAT_PHASE_COUNT; i++) { add_phase(e, r, (enum tat_phase) i, &of_phase[i]); }
}

/* ---- by operation ---- */

static int by_op(const void * a, const void * b) {
    const struct execution *x = a, *y = b;
    if (x->op != y->op) { return x->op < y->op ? -1 : 1; }
    return x->blocked_ns < y->blocked_ns ? -1 : x->blocked_ns > y->blocked_ns;
}

/* Sorts the executions anew. */
static void add_operations(struct explaining * e, struct result * r) {
    static const struct result_column columns[] = { { "operation", "operation", UNIT_TEXT },
                                                    { "executions", "executions", UNIT_COUNT },
                                                    { "waited", "in faults", UNIT_COUNT },
                                                    { "blocked_ns", "time in faults", UNIT_NS },
                                                    { "p50_ns", "median", UNIT_NS },
                                                    { "p90_ns", "p90", UNIT_NS },
                                                    { "p99_ns", "p99", UNIT_NS } };
    struct execution * x = e->executions.data;
    const size_t count = e->executions.count;
    uint64_t * waits = malloc((count + 1) * sizeof *waits);
    r->failed |= !waits;
    if (!waits || !count) {
        free(waits);
        return;
    }
    qsort(x, count, sizeof *x, by_op);
    result_table(r, "operations", "Operations that were in page faults, and how long", SHOW_ALWAYS, columns,
                 sizeof columns / sizeof columns[0]);
    for (size_t first = 0, next; first < count; first = next) {
        uint64_t n = 0, ns = 0;
        for (next = first; next < count && x[next].op == x[first].op; next++) {
            if (!x[next].blocked_ns) { continue; }
            waits[n++] = x[next].blocked_ns;
            ns += x[next].blocked_ns;
        }
        if (!n) { continue; }
        const struct spread spread = spread_of_sorted(waits, n);
        json_t * row = result_row(r);
        result_put_text(r, row, "operation", tat_trace_op_name(e->joined->subject->trace, x[first].op));
        result_put_count(r, row, "executions", (uint64_t) (next - first));
        result_put_count(r, row, "waited", n);
        result_put_count(r, row, "blocked_ns", ns);
        put_spread(r, row, &spread);
    }
    free(waits);
}

static void end_explaining(struct explaining * e) {
    free(e->executions.data);
    free(e->blocked.at);
    free(e->with_all.at);
}

void explain(const struct joined * j, struct result * r) {
    struct explaining e = { .joined = j };
    struct tat_error error;
    if (!j->io->n_faults) { return; }
    if (find_executions(&e, &error) == 0) {
        add_phases(&e, r);
        add_operations(&e, r);
        add_threads(j, r);
    } else {
        r->failed |= !e.memory;
    }
    end_explaining(&e);
}

struct storage_pace explained_pace(const struct joined * j) {
    struct explaining e = { .joined = j };
    struct foretold of_phase[TAT_PHASE_COUNT];
    struct storage_pace pace = { 0 };
    struct tat_error error;
    if (find_executions(&e, &error) == 0 && e.executions.count && foretell_all(&e, of_phase)) {
        const struct phase_time t = phase_time_of(&e, TAT_PHASE_GENERATE);
        if (t.tokens) {
            pace = (struct storage_pace){ (double) (t.ns / t.tokens), (double) (t.blocked_ns / t.tokens),
                                          (double) (of_phase[TAT_PHASE_GENERATE].compute_ns / t.tokens) };
        }
    }
    end_explaining(&e);
    return pace;
}
