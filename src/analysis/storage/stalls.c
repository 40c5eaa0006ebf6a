/* SPDX-License-Identifier: MIT
 *
 * How long a token waited.
 */
#include <stdlib.h>

#include "analysis/storage/section.h"
#include "analysis/token_times.h"
#include "analysis/units.h"

struct token_stall {
    uint64_t n, *blocked_ns, *ns; /* of generated tokens, each a graph of its own */
    uint64_t faults;              /* major ones in all of them */
};

static int by_evaluation(const void * a, const void * b) {
    const struct tat_placed *x = *(const struct tat_placed *const *) a, *y = *(const struct tat_placed *const *) b;
    if (x->evaluation != y->evaluation) { return x->evaluation < y->evaluation ? -1 : 1; }
    return x < y ? -1 : x > y; /* by end */
}

/* Faults while graphs were computed, graph by graph: those of several contexts may alternate. NULL: memory. */
static const struct tat_placed ** in_graphs(const struct joined * j, size_t * count) {
    const struct tat_placed ** order = malloc((j->io->n_faults + 1) * sizeof *order);
    *count = 0;
    for (size_t i = 0; order && i < j->io->n_faults; i++) {
        if (j->faults[i].evaluation != TAT_NO_NUMBER) { order[(*count)++] = &j->faults[i]; }
    }
    if (order) { qsort(order, *count, sizeof *order, by_evaluation); }
    return order;
}

/* False: memory. */
static bool stalls_of_tokens(const struct joined * j, struct token_stall * t) {
    const struct subject * subject = j->subject;
    size_t n;
    const struct tat_placed ** order = in_graphs(j, &n);
    t->blocked_ns = calloc((size_t) subject->n_evaluations + 1, sizeof *t->blocked_ns);
    t->ns = calloc((size_t) subject->n_evaluations + 1, sizeof *t->ns);
    const bool good = order && t->blocked_ns && t->ns;
    for (uint32_t e = 0, at = 0; good && e < subject->n_evaluations; e++) {
        const struct tat_evaluation * v = &subject->evaluations[e];
        const bool is_token = v->phase == TAT_PHASE_GENERATE && v->n_tokens == 1;
        const uint32_t first = at;
        for (; at < n && order[at]->evaluation == e; at++) {
            t->faults += is_token && is_recorded(j, v) && is_major(fault_of(j, order[at]));
        }
        if (!is_token || !is_recorded(j, v)) { continue; }
        t->blocked_ns[t->n] = faults_blocked(j, order + first, at - first);
        t->ns[t->n++] = v->end_ns - v->begin_ns;
    }
    free(order);
    return good;
}

void token_stalls(const struct joined * j, struct result * r) {
    struct token_stall t = { 0 };
    uint64_t blocked_ns = 0, ns = 0;
    char text[4][UNITS_SIZE];
    if (!stalls_of_tokens(j, &t)) {
        r->failed = true;
    } else if (t.n) {
        for (uint64_t i = 0; i < t.n; i++) {
            blocked_ns += t.blocked_ns[i];
            ns += t.ns[i];
        }
        qsort(t.blocked_ns, t.n, sizeof *t.blocked_ns, by_value);
        qsort(t.ns, t.n, sizeof *t.ns, by_value);
        const struct spread spread = spread_of_sorted(t.blocked_ns, t.n);
        result_put_count(r, result_values(r), "token_blocked_p50_ns", spread.p50);
        result_put_count(r, result_values(r), "token_blocked_p99_ns", spread.p99);
        result_put_count(r, result_values(r), "token_p50_ns", spread_of_sorted(t.ns, t.n).p50);
        result_put_real(r, result_values(r), "token_blocked_share", ratio(blocked_ns, ns));
        result_put_real(r, result_values(r), "token_major_faults", ratio(t.faults, t.n));
        result_line(r, "token",
                    "in %s of the time of %s generated tokens a thread was in a page fault: in the median token for "
                    "%s, at p99 for %s; %.1f major faults a token on average",
                    format_share(text[0], ratio(blocked_ns, ns)), j->until_ns == INT64_MAX ? "all" : "the recorded",
                    format_duration(text[1], spread.p50), format_duration(text[2], spread.p99), ratio(t.faults, t.n));
    }
    free(t.blocked_ns);
    free(t.ns);
}
