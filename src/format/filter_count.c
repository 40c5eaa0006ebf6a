/* SPDX-License-Identifier: MIT */
#include "format/filter_count.h"

#include <stdlib.h>

#include "format/filter_walk.h"

struct usual_counts {
    const struct tat_trace * trace;
    size_t n_plans;
    uint32_t ** of_plan; /* by template and rule: records by varying operand; NULL: no whole evaluation has it */
    uint8_t * is_usual;  /* bits, by evaluation: it has that many of each */
};

static size_t plan_number(const struct tat_evaluation * e) {
    return (size_t) e->template_id * TAT_RULE_COUNT + e->rule;
}

static const struct tat_evaluation * evaluation_of(const struct tat_trace * trace, uint32_t number) {
    return &LIST(struct tat_evaluation, trace->evaluations)[number];
}

/* ---- records of operands that vary ---- */

struct tally {
    const struct walk * walk; /* whose filter records have to pass; NULL: all count */
    uint64_t count;
};

static bool add(const struct tat_access * records, size_t count, void * user) {
    struct tally * t = user;
    if (!t->walk) {
        t->count += count;
        return true;
    }
    for (size_t i = 0; i < count; i++) { t->count += filter_wants_place(t->walk, &records[i]); }
    return true;
}

/* Passes an operand's records to the expansion's sink. Call expansion_at and expansion_ids first. */
static bool put_varying(struct expansion * x, uint32_t number, const struct plan * plan, const struct vary * v) {
    const struct tat_evaluation * e = evaluation_of(x->trace, number);
    const struct tat_template * t = &LIST(struct tat_template, x->trace->templates)[e->template_id];
    for (uint32_t r = 0; r < v->n_records; r++) {
        if (!expansion_varying(x, t, v, &plan->records[v->record + r])) { return false; }
    }
    expansion_flush(x);
    return true;
}

/* ---- what is usual ---- */

void usual_counts_free(struct usual_counts * usual) {
    if (!usual) { return; }
    for (size_t i = 0; usual->of_plan && i < usual->n_plans; i++) { free(usual->of_plan[i]); }
    free(usual->of_plan);
    free(usual->is_usual);
    free(usual);
}

/* Ended early, it has records of its own. */
static bool is_whole(const struct tat_evaluation * e, const struct plan * plan) {
    return e->n_stamps >= plan->n_callbacks;
}

static bool learn(struct usual_counts * u, struct expansion * x, struct tally * tally, uint32_t number) {
    const struct tat_evaluation * e = evaluation_of(u->trace, number);
    if (evaluation_is_bare(e)) { return true; }
    const struct plan * plan = plan_of(x->trace, e->template_id, e->rule);
    uint32_t ** kept = &u->of_plan[plan_number(e)];
    if (!plan) { return false; }
    if (!is_whole(e, plan)) { return true; }
    const bool first = *kept == NULL;
    bool same = true;
    if (first && !(*kept = calloc((size_t) plan->n_varies + 1, sizeof **kept))) { return false; }
    if (plan->n_varies &&
        !(bodies_may_work(&x->bodies, plan->n_varies) && expansion_at(x, number) && expansion_ids(x, number))) {
        return false;
    }
    for (uint32_t i = 0; i < plan->n_varies && same; i++) {
        tally->count = 0;
        if (!put_varying(x, number, plan, &plan->varies[i])) { return false; }
        if (first) { (*kept)[i] = (uint32_t) tally->count; }
        same = (*kept)[i] == tally->count;
    }
    if (same) { u->is_usual[number / 8] |= (uint8_t) (1u << number % 8); }
    return true;
}

struct usual_counts * usual_counts_new(const struct tat_trace * trace, struct tat_error * error) {
    struct usual_counts * u = calloc(1, sizeof *u);
    struct tally tally = { 0 };
    struct expansion x;
    bool good = expansion_begin(&x, trace, add, &tally) && u;
    if (good) {
        u->trace = trace;
        u->n_plans = (size_t) trace->templates.count * TAT_RULE_COUNT;
        u->of_plan = calloc(u->n_plans + 1, sizeof *u->of_plan);
        u->is_usual = calloc((size_t) trace->evaluations.count / 8 + 1, 1);
        good = u->of_plan && u->is_usual;
    }
    for (uint32_t i = 0; good && i < trace->evaluations.count; i++) { good = learn(u, &x, &tally, i); }
    if (!good) {
        expansion_fail(&x, error);
        usual_counts_free(u);
    }
    expansion_end(&x);
    return good ? u : NULL;
}

/* ---- counting ---- */

/* A plan's records that pass, as far as they are the same in all its evaluations. */
struct passing {
    bool known;
    uint64_t fixed;     /* of operands that do not vary */
    uint64_t usual;     /* and of those that do, in a usual evaluation */
    uint32_t * varying; /* the latter's numbers */
    uint32_t n_varying;
};

struct counting {
    struct walk walk;
    const struct usual_counts * usual;
    struct passing * passing; /* by template and rule */
    struct tally tally;
};

static struct passing * passing_of(struct counting * c, const struct tat_evaluation * e, const struct plan * plan,
                                   const struct pick * pick) {
    struct passing * p = &c->passing[plan_number(e)];
    const uint32_t * usual = c->usual->of_plan[plan_number(e)];
    if (p->known) { return p; }
    p->varying = calloc((size_t) plan->n_varies + 1, sizeof *p->varying);
    if (!p->varying) { return NULL; }
    for (uint32_t i = 0, v = 0; i < pick->count; i++) {
        const struct picked * range = &pick->ranges[i];
        p->fixed += range->end - range->first;
        while (v < plan->n_varies && plan->varies[v].record < range->first) { v++; }
        for (; v < plan->n_varies && plan->varies[v].record < range->end; v++) {
            p->fixed -= plan->varies[v].n_records;
            p->usual += usual ? usual[v] : 0;
            p->varying[p->n_varying++] = v;
        }
    }
    p->known = true;
    return p;
}

/* All of its records are in the time asked for. */
static bool is_within(const struct tat_filter * f, const struct tat_evaluation * e) {
    const struct number_set * set = &f->sets[FILTER_AT_TIME];
    if (!f->has[FILTER_AT_TIME]) { return true; }
    for (uint32_t i = 0; i < set->ranges.count; i++) {
        const struct number_range * r = &LIST(struct number_range, set->ranges)[i];
        if (r->first <= e->begin_ns && r->last >= e->end_ns) { return true; }
    }
    return false;
}

static bool count_whole(struct counting * c, uint32_t number, const struct plan * plan, const struct pick * pick,
                        uint64_t * count) {
    const struct tat_filter * f = c->walk.filter;
    const struct passing * p = passing_of(c, evaluation_of(f->trace, number), plan, pick);
    const bool decided = !f->has[FILTER_EXPERTS] && !f->has[FILTER_AT];
    struct expansion * x = &c->walk.x;
    if (!p) { return false; }
    *count = p->fixed;
    if (p->n_varying == 0) { return true; }
    if (decided && c->usual->is_usual[number / 8] >> number % 8 & 1) {
        *count += p->usual;
        return true;
    }
    c->tally = (struct tally){ decided ? NULL : &c->walk, 0 };
    if (!bodies_may_work(&x->bodies, p->n_varying) || !expansion_at(x, number) || !expansion_ids(x, number)) {
        return false;
    }
    for (uint32_t i = 0; i < p->n_varying; i++) {
        if (!put_varying(x, number, plan, &plan->varies[p->varying[i]])) { return false; }
    }
    *count += c->tally.count;
    return true;
}

/* Makes the records that pass. */
static bool count_made(struct counting * c, uint32_t number, uint64_t * count) {
    c->tally = (struct tally){ 0 };
    if (!filter_walk_evaluation(&c->walk, number)) { return false; }
    expansion_flush(&c->walk.x);
    *count = c->tally.count;
    return true;
}

static bool count_one(struct counting * c, uint32_t number, uint64_t * count) {
    const struct tat_filter * f = c->walk.filter;
    const struct tat_evaluation * e = evaluation_of(f->trace, number);
    if (evaluation_is_bare(e) || !filter_wants_evaluation(f, number)) { return true; }
    const struct plan * plan = plan_of(c->walk.x.trace, e->template_id, e->rule);
    const struct pick * pick = plan ? filter_pick(&c->walk, e, plan) : NULL;
    if (!pick) { return false; }
    if (pick->count == 0) { return true; }
    const tat_access_sink wanted = c->walk.x.sink;
    const bool whole = !c->walk.heads && is_whole(e, plan) && is_within(f, e);
    if (!whole) { return count_made(c, number, count); }
    /* Operands that vary come from here, not through the filter's own sink, which would ask for their times. */
    c->walk.x.sink = add;
    c->walk.x.user = &c->tally;
    const bool good = count_whole(c, number, plan, pick, count);
    c->walk.x.sink = wanted;
    c->walk.x.user = &c->walk;
    return good;
}

static void counting_end(struct counting * c) {
    const size_t n = (size_t) c->walk.filter->trace->templates.count * TAT_RULE_COUNT;
    for (size_t i = 0; c->passing && i < n; i++) { free(c->passing[i].varying); }
    free(c->passing);
    filter_walk_end(&c->walk);
}

int filter_count(const struct tat_filter * filter, const struct usual_counts * usual, uint64_t * counts,
                 struct tat_error * error) {
    const struct tat_trace * trace = filter->trace;
    struct counting c = { .walk = { .filter = filter, .sink = add }, .usual = usual };
    c.walk.user = &c.tally;
    if (!filter_walk_begin(&c.walk, error)) {
        counting_end(&c);
        return -1;
    }
    c.passing = calloc((size_t) trace->templates.count * TAT_RULE_COUNT + 1, sizeof *c.passing);
    bool good = c.passing != NULL;
    for (uint32_t i = 0; good && i < trace->evaluations.count; i++) {
        counts[i] = 0;
        good = count_one(&c, i, &counts[i]);
    }
    const int status = good ? 0 : expansion_fail(&c.walk.x, error);
    counting_end(&c);
    return status;
}
