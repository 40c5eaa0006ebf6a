/* SPDX-License-Identifier: MIT
 *
 * A plan's records times the evaluations that share it; experts times the evaluations that chose them; and other
 * operands that vary, one by one.
 */
#include <stdlib.h>
#include <string.h>

#include "format/expand_state.h"
#include "tat/sums.h"

enum { COUNTED_MAX = 1 << 22 }; /* in all groups; what exceeds it comes one by one */

/* An expert of one operand. */
struct counted {
    uint32_t times; /* evaluations that chose it */
    uint32_t last;  /* 1 + the last of them; many tokens of one may choose the same expert */
};

/* Complete evaluations of one plan and one phase, either all with waits or all without. */
struct group {
    const struct plan * plan;
    enum tat_phase phase;
    uint32_t evaluation; /* the first one */
    uint64_t evaluations;
    uint64_t * ns;      /* by callback */
    uint64_t * wait_ns; /* likewise; NULL: not recorded */
    struct counted * counted;
    uint32_t * counted_at; /* by varying operand: 1 + its first index in `counted`; 0: it comes one by one */
};

struct tallying {
    struct expansion x;
    tat_tally_sink sink;
    void * user;
    struct list groups;
    uint32_t * touched;  /* by tensor: records of the plan at hand; zeros in between */
    uint32_t * group_of; /* 1 + index, by template, rule, phase and whether there are waits */
    uint64_t n_counted;
    uint64_t times; /* how many evaluations the records now passed on stand for */
};

static bool sink_varying(const struct tat_access * records, size_t count, void * user) {
    const struct tallying * t = user;
    return t->sink(&(struct tat_tally){ .records = records, .count = count, .evaluations = t->times }, t->user);
}

static const struct tat_template * template_of(const struct tallying * t, uint32_t evaluation) {
    const uint32_t number = LIST(struct tat_evaluation, t->x.trace->evaluations)[evaluation].template_id;
    return &LIST(struct tat_template, t->x.trace->templates)[number];
}

/* ---- experts, counted ---- */

/* How many of an operand's experts are to be counted, or 0. */
static uint64_t countable(const struct vary * v, const struct tat_template * tmpl) {
    const uint64_t n = tmpl->entries[v->entry].ne[use_dimension(v->use)];
    if (v->use != USE_EXPERTS && v->use != USE_BIASES) { return 0; }
    return v->capture == UINT32_MAX || n > TAT_NO_EXPERT ? 0 : n;
}

/* A stack that other operands touch too comes one by one: whoever asks what a graph touches twice must see each
 * graph. */
static bool prepare_counting(struct tallying * t, struct group * g, const struct tat_template * tmpl) {
    const struct plan * plan = g->plan;
    uint64_t counters = 0;
    g->counted_at = calloc((size_t) plan->n_varies + 1, sizeof *g->counted_at);
    for (uint32_t i = 0; i < plan->n_records; i++) { t->touched[plan->records[i].tensor]++; }
    for (uint32_t i = 0; g->counted_at && i < plan->n_varies; i++) {
        const uint64_t n = countable(&plan->varies[i], tmpl);
        if (n == 0 || t->touched[plan->records[plan->varies[i].record].tensor] > 1 ||
            t->n_counted + counters + n > COUNTED_MAX) {
            continue;
        }
        g->counted_at[i] = 1 + (uint32_t) counters;
        counters += n;
    }
    t->n_counted += counters;
    for (uint32_t i = 0; i < plan->n_records; i++) { t->touched[plan->records[i].tensor] = 0; }
    g->counted = calloc(counters + 1, sizeof *g->counted);
    return g->counted_at && g->counted;
}

/* False: it is not known what was chosen. */
static bool count_choice(const struct tallying * t, struct group * g, uint32_t vary, const struct tat_template * tmpl,
                         uint32_t evaluation) {
    const struct vary * v = &g->plan->varies[vary];
    const struct ids ids = t->x.ids[v->capture];
    const uint64_t n = countable(v, tmpl);
    struct counted * first = &g->counted[g->counted_at[vary] - 1];
    for (size_t i = 0; i < ids.count; i++) {
        const int64_t id = t->x.values[ids.first + i];
        if (id < 0 || (uint64_t) id >= n || first[id].last == evaluation + 1) { continue; }
        first[id].last = evaluation + 1;
        first[id].times++;
    }
    return ids.count > 0;
}

static struct tat_access record_like(const struct plan * plan, const struct vary * v, uint32_t r, enum tat_phase phase,
                                     uint32_t evaluation) {
    struct tat_access like = plan->records[v->record + r];
    like.start_ns = like.duration_ns = 0;
    like.evaluation = evaluation;
    like.flags |= (uint16_t) ((unsigned) phase << TAT_ACCESS_PHASE_SHIFT);
    return like;
}

/* Passes on each expert that was chosen, as if one evaluation had chosen it. */
static bool put_counted(struct tallying * t, const struct group * g) {
    const struct tat_template * tmpl = template_of(t, g->evaluation);
    if (g->plan->n_varies && (!expansion_at(&t->x, g->evaluation) || !expansion_ids(&t->x, g->evaluation))) {
        return false;
    }
    if (!expansion_reserve(&t->x.values, &t->x.values_capacity, 1, sizeof t->x.values[0])) { return false; }
    for (uint32_t i = 0; i < g->plan->n_varies && !t->x.stopped; i++) {
        const struct vary * v = &g->plan->varies[i];
        for (uint64_t id = 0; g->counted_at[i] && id < countable(v, tmpl); id++) {
            const struct tat_access like = record_like(g->plan, v, 0, g->phase, g->evaluation);
            t->times = g->counted[g->counted_at[i] - 1 + id].times;
            if (t->times == 0) { continue; }
            t->x.values[0] = (int64_t) id;
            t->x.ids[v->capture] = (struct ids){ 0, 1 };
            if (!expansion_varying(&t->x, tmpl, v, &like)) { return false; }
            expansion_flush(&t->x);
        }
    }
    t->times = 1;
    return true;
}

/* ---- groups ---- */

static void group_end(struct group * g) {
    free(g->ns);
    free(g->wait_ns);
    free(g->counted);
    free(g->counted_at);
}

/* Whether it has all its waits: one that is missing at the end is not a wait of 0. */
static bool has_waits(const struct tat_evaluation * e, const struct plan * plan) {
    const uint32_t n = e->n_stamps < plan->n_callbacks ? e->n_stamps : plan->n_callbacks;
    return n && e->n_waits >= n;
}

/* Makes zeroed times. False: no memory. */
static bool prepare_times(struct group * g, bool waits) {
    g->ns = calloc((size_t) g->plan->n_callbacks + 1, sizeof *g->ns);
    if (waits) { g->wait_ns = calloc((size_t) g->plan->n_callbacks + 1, sizeof *g->wait_ns); }
    return g->ns && (g->wait_ns || !waits);
}

static struct group * find_group(struct tallying * t, const struct tat_evaluation * e, const struct plan * plan) {
    const size_t phase = ((size_t) e->template_id * TAT_RULE_COUNT + e->rule) * TAT_PHASE_COUNT + e->phase;
    uint32_t * number = &t->group_of[2 * phase + has_waits(e, plan)];
    if (!*number) {
        struct group * group = list_add(&t->groups, sizeof *group);
        if (!group) { return NULL; }
        *group = (struct group){ .plan = plan, .phase = e->phase };
        if (!prepare_times(group, has_waits(e, plan)) ||
            !prepare_counting(t, group, &LIST(struct tat_template, t->x.trace->templates)[e->template_id])) {
            return NULL;
        }
        *number = t->groups.count;
    }
    return &LIST(struct group, t->groups)[*number - 1];
}

/* Adds the times of the evaluation whose expansion_times were taken last. False: no memory. */
static bool add_times(struct tallying * t, struct group * g, uint32_t evaluation, uint32_t n_times) {
    const uint32_t n = n_times < g->plan->n_callbacks ? n_times : g->plan->n_callbacks;
    for (uint32_t i = 0; i < n; i++) { g->ns[i] += duration_of(t->x.start_ns, i); }
    if (!g->wait_ns) { return true; }
    const uint32_t n_waits = expansion_waits(&t->x, evaluation);
    if (!t->x.wait_ns) { return false; }
    for (uint32_t i = 0; i < n && i < n_waits; i++) { g->wait_ns[i] += t->x.wait_ns[i]; }
    return true;
}

/* True if a record varies. Records are asked for in order; `vary` is where the last answer was found. */
static bool varies_at(const struct plan * plan, uint32_t * vary, uint32_t record) {
    while (*vary < plan->n_varies && plan->varies[*vary].record + plan->varies[*vary].n_records <= record) { ++*vary; }
    return *vary < plan->n_varies && plan->varies[*vary].record <= record;
}

/* Passes on a plan's records up to `n` in pieces, with varying ones made empty. */
static void put_alike(struct tallying * t, const struct group * g, uint32_t n) {
    uint64_t ns[BATCH], owner_ns[BATCH], wait_ns[BATCH];
    uint32_t vary = 0;
    for (uint32_t at = 0; at < n && !t->x.stopped;) {
        size_t count = 0;
        for (; count < BATCH && at < n; at++, count++) {
            struct tat_access * a = &t->x.batch[count];
            const uint64_t callback = g->plan->records[at].start_ns;
            const struct timed * timed = &g->plan->timed[callback];
            *a = g->plan->records[at];
            ns[count] = timed->first == at ? g->ns[callback] : 0;
            owner_ns[count] = timed->owner == at ? g->ns[callback] : 0;
            wait_ns[count] = timed->first == at && g->wait_ns ? g->wait_ns[callback] : 0;
            a->start_ns = a->duration_ns = 0;
            a->evaluation = g->evaluation;
            a->flags |= (uint16_t) ((unsigned) g->phase << TAT_ACCESS_PHASE_SHIFT);
            if (varies_at(g->plan, &vary, at)) {
                a->bytes = 0;
                a->flags &= (uint16_t) ~TAT_ACCESS_APPROXIMATE;
            }
        }
        const struct tat_tally tally = { t->x.batch,     ns,  owner_ns, g->wait_ns ? wait_ns : NULL, count,
                                         g->evaluations, true };
        t->x.stopped = !t->sink(&tally, t->user);
    }
}

/* `g`: NULL for an evaluation that ended early. */
static bool put_varying(struct tallying * t, uint32_t number, const struct plan * plan, struct group * g,
                        uint32_t n_records) {
    const struct tat_evaluation * e = &LIST(struct tat_evaluation, t->x.trace->evaluations)[number];
    const struct tat_template * tmpl = template_of(t, number);
    if (!expansion_ids(&t->x, number)) { return false; }
    for (uint32_t i = 0; i < plan->n_varies && plan->varies[i].record < n_records && !t->x.stopped; i++) {
        const struct vary * v = &plan->varies[i];
        if (g && g->counted_at[i] && count_choice(t, g, i, tmpl, number)) { continue; }
        for (uint32_t r = 0; r < v->n_records; r++) {
            struct tat_access like = record_like(plan, v, r, e->phase, number);
            like.token = e->token_first;
            if (!expansion_varying(&t->x, tmpl, v, &like)) { return false; }
        }
    }
    return true;
}

/* An evaluation that ended early has records of its own. */
static bool put_part(struct tallying * t, uint32_t number, const struct plan * plan, uint32_t n_times, uint32_t n) {
    const struct tat_evaluation * e = &LIST(struct tat_evaluation, t->x.trace->evaluations)[number];
    struct group g = { .plan = plan, .phase = e->phase, .evaluation = number, .evaluations = 1 };
    const bool good = prepare_times(&g, has_waits(e, plan)) && add_times(t, &g, number, n_times);
    if (good) {
        expansion_flush(&t->x); /* the batch is needed here */
        put_alike(t, &g, n);
    }
    group_end(&g);
    return good;
}

static bool tally_one(struct tallying * t, uint32_t number) {
    const struct tat_evaluation * e = &LIST(struct tat_evaluation, t->x.trace->evaluations)[number];
    if (e->flags & (TAT_EVALUATION_UNMATCHED | TAT_EVALUATION_OUTSIDE)) { return true; }
    const struct plan * plan = plan_of(t->x.trace, e->template_id, e->rule);
    if (!plan || !expansion_at(&t->x, number)) { return false; }
    const uint32_t n_times = expansion_times(&t->x, number);
    if (!t->x.start_ns) { return false; }
    const uint32_t n = n_times >= plan->n_callbacks ? plan->n_records : plan_records_before(plan, n_times);
    struct group * g = NULL;
    if (n == plan->n_records) {
        g = find_group(t, e, plan);
        if (!g || !add_times(t, g, number, n_times)) { return false; }
        if (g->evaluations++ == 0) { g->evaluation = number; }
    } else if (!put_part(t, number, plan, n_times, n)) {
        return false;
    }
    return plan->n_varies == 0 || put_varying(t, number, plan, g, n);
}

int tat_trace_tally(const struct tat_trace * trace, uint32_t first, uint32_t last, tat_tally_sink sink, void * user,
                    struct tat_error * error) {
    struct tallying t = { .sink = sink, .user = user, .times = 1 };
    const size_t n = (size_t) trace->templates.count * TAT_RULE_COUNT * TAT_PHASE_COUNT * 2;
    bool good = expansion_begin(&t.x, trace, sink_varying, &t);
    t.group_of = calloc(n + 1, sizeof *t.group_of);
    t.touched = calloc((size_t) trace->tensors.count + 1, sizeof *t.touched);
    good &= t.group_of && t.touched;
    if (last > trace->evaluations.count) { last = trace->evaluations.count; }
    for (uint32_t i = first; i < last && good && !t.x.stopped; i++) { good = tally_one(&t, i); }
    if (good) { expansion_flush(&t.x); }
    for (uint32_t i = 0; i < t.groups.count; i++) {
        struct group * g = &LIST(struct group, t.groups)[i];
        good = good && put_counted(&t, g);
        if (good) { put_alike(&t, g, g->plan->n_records); }
        group_end(g);
    }
    free(t.groups.data);
    free(t.touched);
    free(t.group_of);
    const int status = good ? t.x.stopped : expansion_fail(&t.x, error);
    expansion_end(&t.x);
    return status;
}
