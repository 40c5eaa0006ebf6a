/* SPDX-License-Identifier: MIT
 *
 * A plan's records times the evaluations that share it, and the operands that vary one by one.
 */
#include <stdlib.h>
#include <string.h>

#include "format/expansion.h"
#include "tat/sums.h"

/* Evaluations of one plan, in one phase, that all came to their end. */
struct group {
    const struct plan * plan;
    enum tat_phase      phase;
    uint32_t            evaluation; /* the first */
    uint64_t            evaluations;
    uint64_t *          ns; /* by callback */
};

struct tallying {
    struct expansion x;
    tat_tally_sink   sink;
    void *           user;
    struct list      groups;
    uint32_t *       group_of; /* 1 + index, by template, rule and phase */
};

/* What differs comes one by one. */
static bool sink_varying(const struct tat_access * records, size_t count, void * user) {
    const struct tallying * t = user;
    return t->sink(&(struct tat_tally){ .records = records, .count = count, .evaluations = 1 }, t->user);
}

static struct group * find_group(struct tallying * t, const struct tat_evaluation * e, const struct plan * plan) {
    uint32_t * number = &t->group_of[((size_t) e->template_id * TAT_RULE_COUNT + e->rule) * TAT_PHASE_COUNT + e->phase];
    if (!*number) {
        struct group * group = list_add(&t->groups, sizeof *group);
        uint64_t *     ns    = calloc((size_t) plan->n_callbacks + 1, sizeof *ns);
        if (!group || !ns) {
            free(ns);
            return NULL;
        }
        *group  = (struct group){ .plan = plan, .phase = e->phase, .ns = ns };
        *number = t->groups.count;
    }
    return &LIST(struct group, t->groups)[*number - 1];
}

static void add_times(uint64_t * ns, const uint64_t * start_ns, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        const uint64_t duration = start_ns[i + 1] - start_ns[i];
        ns[i] += duration > UINT32_MAX ? UINT32_MAX : duration; /* as in a record */
    }
}

/* Records are asked for in their order; `vary` is where the last answer was found. */
static bool varies_at(const struct plan * plan, uint32_t * vary, uint32_t record) {
    while (*vary < plan->n_varies && plan->varies[*vary].record + plan->varies[*vary].n_records <= record) { ++*vary; }
    return *vary < plan->n_varies && plan->varies[*vary].record <= record;
}

/* A plan's records up to `n`, with what varies made empty, in pieces. */
static void put_alike(struct tallying * t, const struct group * g, uint32_t n) {
    uint64_t ns[BATCH], owner_ns[BATCH];
    uint32_t vary = 0;
    for (uint32_t at = 0; at < n && !t->x.stopped;) {
        size_t count = 0;
        for (; count < BATCH && at < n; at++, count++) {
            struct tat_access *  a        = &t->x.batch[count];
            const uint64_t       callback = g->plan->records[at].start_ns;
            const struct timed * timed    = &g->plan->timed[callback];
            *a                            = g->plan->records[at];
            ns[count]                     = timed->first == at ? g->ns[callback] : 0;
            owner_ns[count]               = timed->owner == at ? g->ns[callback] : 0;
            a->start_ns                   = 0;
            a->evaluation                 = g->evaluation;
            a->flags |= (uint16_t) ((unsigned) g->phase << TAT_ACCESS_PHASE_SHIFT);
            if (varies_at(g->plan, &vary, at)) {
                a->bytes = 0;
                a->flags &= (uint16_t) ~TAT_ACCESS_APPROXIMATE;
            }
        }
        t->x.stopped = !t->sink(&(struct tat_tally){ t->x.batch, ns, owner_ns, count, g->evaluations }, t->user);
    }
}

static bool put_varying(struct tallying * t, uint32_t number, const struct plan * plan, uint32_t n_records) {
    const struct tat_evaluation * e      = &LIST(struct tat_evaluation, t->x.trace->evaluations)[number];
    const struct tat_template * template = &LIST(struct tat_template, t->x.trace->templates)[e->template_id];
    if (!expansion_ids(&t->x, number)) { return false; }
    for (uint32_t i = 0; i < plan->n_varies && plan->varies[i].record < n_records && !t->x.stopped; i++) {
        const struct vary * v = &plan->varies[i];
        for (uint32_t r = 0; r < v->n_records; r++) {
            struct tat_access like = plan->records[v->record + r];
            like.start_ns          = 0;
            like.evaluation        = number;
            like.token_first       = e->token_first;
            like.flags |= (uint16_t) ((unsigned) e->phase << TAT_ACCESS_PHASE_SHIFT);
            if (!expansion_varying(&t->x, template, v, &like)) { return false; }
        }
    }
    return true;
}

/* One that ended early has its own records. */
static bool put_part(struct tallying * t, uint32_t number, const struct plan * plan, uint32_t n_times, uint32_t n) {
    const struct tat_evaluation * e = &LIST(struct tat_evaluation, t->x.trace->evaluations)[number];
    struct group g = { plan, e->phase, number, 1, calloc((size_t) plan->n_callbacks + 1, sizeof *g.ns) };
    if (!g.ns) { return false; }
    add_times(g.ns, t->x.start_ns, n_times < plan->n_callbacks ? n_times : plan->n_callbacks);
    expansion_flush(&t->x); /* the batch is needed */
    put_alike(t, &g, n);
    free(g.ns);
    return true;
}

static bool tally_one(struct tallying * t, uint32_t number) {
    const struct tat_evaluation * e = &LIST(struct tat_evaluation, t->x.trace->evaluations)[number];
    if (e->flags & (TAT_EVALUATION_UNMATCHED | TAT_EVALUATION_OUTSIDE)) { return true; }
    const struct plan * plan = plan_of(t->x.trace, e->template_id, e->rule);
    if (!plan) { return false; }
    const uint32_t n_times = expansion_times(&t->x, number);
    if (!t->x.start_ns) { return false; }
    const uint32_t n = n_times >= plan->n_callbacks ? plan->n_records : plan_records_before(plan, n_times);
    if (n == plan->n_records) {
        struct group * g = find_group(t, e, plan);
        if (!g) { return false; }
        if (g->evaluations++ == 0) { g->evaluation = number; }
        add_times(g->ns, t->x.start_ns, n_times < plan->n_callbacks ? n_times : plan->n_callbacks);
    } else if (!put_part(t, number, plan, n_times, n)) {
        return false;
    }
    return plan->n_varies == 0 || put_varying(t, number, plan, n);
}

int tat_trace_tally(const struct tat_trace * trace, uint32_t first, uint32_t last, tat_tally_sink sink, void * user,
                    struct tat_error * error) {
    struct tallying t    = { .sink = sink, .user = user };
    const size_t    n    = (size_t) trace->templates.count * TAT_RULE_COUNT * TAT_PHASE_COUNT;
    bool            good = expansion_begin(&t.x, trace, sink_varying, &t);
    t.group_of           = calloc(n + 1, sizeof *t.group_of);
    good &= t.group_of != NULL;
    if (last > trace->evaluations.count) { last = trace->evaluations.count; }
    for (uint32_t i = first; i < last && good && !t.x.stopped; i++) { good = tally_one(&t, i); }
    if (good) { expansion_flush(&t.x); }
    for (uint32_t i = 0; i < t.groups.count; i++) {
        const struct group * g = &LIST(struct group, t.groups)[i];
        if (good) { put_alike(&t, g, g->plan->n_records); }
        free(g->ns);
    }
    free(t.groups.data);
    free(t.group_of);
    const bool stopped = t.x.stopped;
    expansion_end(&t.x);
    if (!good) { return tat_fail(error, TAT_ERROR_SYSTEM, "%s: out of memory", trace->path); }
    return stopped ? 1 : 0;
}
