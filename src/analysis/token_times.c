/* SPDX-License-Identifier: MIT */
#include "analysis/token_times.h"

#include <stdlib.h>
#include <string.h>

int by_value(const void * a, const void * b) {
    const uint64_t x = *(const uint64_t *) a, y = *(const uint64_t *) b;
    return x < y ? -1 : x > y;
}

uint64_t percentile(const uint64_t * sorted, size_t n, unsigned percent) {
    const size_t rank = (n * percent + 99) / 100;
    return n ? sorted[rank ? rank - 1 : 0] : 0;
}

struct spread spread_of_sorted(const uint64_t * sorted, size_t n) {
    return (struct spread){ percentile(sorted, n, 50), percentile(sorted, n, 90), percentile(sorted, n, 99) };
}

struct spread spread_of(const struct token_times * t, uint32_t column, uint64_t * room) {
    for (uint32_t i = 0; i < t->n; i++) { room[i] = t->ns[(size_t) i * t->columns + column]; }
    qsort(room, t->n, sizeof *room, by_value);
    return spread_of_sorted(room, t->n);
}

void put_spread(struct result * r, json_t * row, const struct spread * spread) {
    result_put_count(r, row, "p50_ns", spread->p50);
    result_put_count(r, row, "p90_ns", spread->p90);
    result_put_count(r, row, "p99_ns", spread->p99);
}

/* ---- which evaluations ---- */

static bool is_whole(const struct tat_evaluation * e) {
    return !(e->flags & (TAT_EVALUATION_UNMATCHED | TAT_EVALUATION_OUTSIDE | TAT_EVALUATION_ABORTED)) && e->n_stamps &&
           e->n_stamps == e->n_callbacks && e->n_tokens;
}

static enum tat_phase typical_phase(const struct subject * s) {
    enum tat_phase most = TAT_PHASE_GENERATE;
    uint32_t count[TAT_PHASE_COUNT] = { 0 };
    for (uint32_t i = 0; i < s->n_evaluations; i++) { count[s->evaluations[i].phase] += is_whole(&s->evaluations[i]); }
    for (int p = 0; p < TAT_PHASE_COUNT && !count[TAT_PHASE_GENERATE]; p++) {
        if (is_inference((enum tat_phase) p) && count[p] > count[most]) { most = (enum tat_phase) p; }
    }
    return most;
}

uint64_t * evaluation_times(const struct subject * s, enum tat_phase phase, size_t * n) {
    uint64_t * times = malloc(((size_t) s->n_evaluations + 1) * sizeof *times);
    *n = 0;
    for (uint32_t i = 0; times && i < s->n_evaluations; i++) {
        const struct tat_evaluation * e = &s->evaluations[i];
        if (e->phase == phase && is_whole(e)) { times[(*n)++] = e->end_ns - e->begin_ns; }
    }
    if (times) { qsort(times, *n, sizeof *times, by_value); }
    return times;
}

/* ---- what each took ---- */

/* The evaluations of the phase, every so many of them that the rows fit. */
static uint32_t choose(const struct subject * s, struct token_times * t) {
    uint32_t all = 0, seen = 0;
    for (uint32_t i = 0; i < s->n_evaluations; i++) {
        all += s->evaluations[i].phase == t->phase && is_whole(&s->evaluations[i]);
    }
    const uint32_t every = 1 + (uint32_t) ((uint64_t) all * t->columns / TIMES_MOST), room = all / every + 1;
    t->evaluation = malloc(room * sizeof *t->evaluation);
    t->ns = malloc((size_t) room * (t->columns + 1) * sizeof *t->ns);
    t->single = all > 0;
    for (uint32_t i = 0; i < s->n_evaluations && t->evaluation && t->ns; i++) {
        const struct tat_evaluation * e = &s->evaluations[i];
        if (e->phase != t->phase || !is_whole(e)) { continue; }
        t->single &= e->n_tokens == 1;
        if (seen++ % every == 0) { t->evaluation[t->n++] = i; }
    }
    return t->n;
}

/* Evaluations that follow each other are asked for together. */
static bool fill(const struct subject * s, enum tat_key by, struct token_times * t) {
    for (uint32_t at = 0, count; at < t->n; at += count) {
        for (count = 1; at + count < t->n && t->evaluation[at + count] == t->evaluation[at] + count;) { count++; }
        if (tat_matrix(s->trace, by, TAT_SUM_NS, 0, t->evaluation[at], t->evaluation[at] + count,
                       t->ns + (size_t) at * t->columns, NULL) != 0) {
            return false;
        }
    }
    return true;
}

bool token_times_of(const struct subject * s, enum tat_key by, struct token_times * t) {
    *t = (struct token_times){ .phase = typical_phase(s), .columns = tat_matrix_columns(s->trace, by) };
    choose(s, t);
    return t->ns && t->evaluation && (!t->columns || fill(s, by, t));
}

void token_times_free(struct token_times * t) {
    free(t->ns);
    free(t->evaluation);
    *t = (struct token_times){ 0 };
}
