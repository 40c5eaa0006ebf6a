/* SPDX-License-Identifier: MIT */
#include "analysis/experts/sequence.h"

#include <stdlib.h>

struct turn {
    uint32_t context, evaluation;
};

static int by_context(const void * a, const void * b) {
    const struct turn *x = a, *y = b;
    if (x->context != y->context) { return x->context < y->context ? -1 : 1; }
    return (x->evaluation > y->evaluation) - (x->evaluation < y->evaluation);
}

static bool is_wanted(const struct subject * s, const struct tat_evaluation * e) {
    const struct tat_template * t = &s->templates[e->template_id];
    return is_inference(e->phase) && !(e->flags & TAT_EVALUATION_OUTSIDE) && t->n_captures > 0;
}

static size_t turns_of(const struct subject * s, struct turn * turns) {
    size_t n = 0;
    for (uint32_t i = 0; i < s->n_evaluations; i++) {
        if (is_wanted(s, &s->evaluations[i])) { turns[n++] = (struct turn){ s->evaluations[i].context, i }; }
    }
    qsort(turns, n, sizeof *turns, by_context);
    return n;
}

/* How many tokens the context has whose evaluations begin at `from`. */
static uint64_t tokens_of(const struct subject * s, const struct turn * turns, size_t from, size_t n) {
    uint64_t tokens = 0;
    for (size_t i = from; i < n && turns[i].context == turns[from].context; i++) {
        tokens += s->evaluations[turns[i].evaluation].n_tokens;
    }
    return tokens;
}

/* False: memory. */
static bool walk(const struct subject * s, struct routing * r, const struct turn * turns, size_t n, routed_sink sink,
                 void * user) {
    struct routed at = { 0 };
    bool had = false, had_positions = false; /* the evaluation before in this context */
    int64_t last = 0;
    uint64_t next = 0; /* the serial number after it */
    for (size_t i = 0; i < n; i++) {
        const struct tat_evaluation * e = &s->evaluations[turns[i].evaluation];
        if (i == 0 || turns[i].context != turns[i - 1].context) {
            had = false;
            at.ordinal = 0;
            at.half = (tokens_of(s, turns, i, n) + 1) / 2;
        }
        if (!routing_read(r, s->trace, turns[i].evaluation)) { return false; }
        const bool follows = had && r->one_sequence && had_positions == r->has_positions &&
                             (!r->has_positions || (last != INT64_MAX && r->first == last + 1));
        at.evaluation = turns[i].evaluation;
        at.phase = e->phase;
        at.layers = routing_layers(r);
        at.n_layers = r->layers.count;
        at.tokens = r->tokens.count ? LIST(const uint32_t, r->tokens) : NULL;
        at.n_tokens = r->tokens.count;
        at.step = r->one_sequence ? 1 : 2;
        at.serial = follows ? next : next + 1;
        if (at.n_layers) { sink(&at, user); }
        next = at.serial + (uint64_t) at.step * e->n_tokens;
        had = r->one_sequence;
        had_positions = r->has_positions;
        last = r->last;
        at.ordinal += e->n_tokens;
    }
    return true;
}

bool routed_each(const struct subject * subject, routed_sink sink, void * user, struct routing_faults * faults) {
    struct routing r = { 0 };
    struct turn * turns = malloc(((size_t) subject->n_evaluations + 1) * sizeof *turns);
    const bool good = turns && walk(subject, &r, turns, turns_of(subject, turns), sink, user);
    if (faults) { *faults = r.faults; }
    routing_free(&r);
    free(turns);
    return good;
}
