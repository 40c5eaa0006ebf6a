/* SPDX-License-Identifier: MIT
 *
 * In which order weights are read: along the file or across it, the same for every token or not.
 */
#include <stdlib.h>

#include "analysis/order/gaps.h"
#include "analysis/order/token_reads.h"
#include "analysis/units.h"

struct state {
    const struct subject * subject;
    bool * wanted;       /* by tensor: a weight in a file */
    uint32_t evaluation; /* in the last record */
    struct gaps gaps;
    struct token_reads tokens;
};

static void destroy(struct state * s) {
    gaps_free(&s->gaps);
    token_reads_free(&s->tokens);
    free(s->wanted);
    free(s);
}

static void * begin(const struct subject * subject) {
    struct state * s = calloc(1, sizeof *s);
    if (!s) { return NULL; }
    s->subject = subject;
    s->evaluation = UINT32_MAX;
    s->wanted = calloc((size_t) subject->n_tensors + 1, sizeof s->wanted[0]);
    const bool gaps = gaps_begin(&s->gaps, subject), tokens = token_reads_begin(&s->tokens, subject);
    if (!gaps || !tokens || !s->wanted) {
        destroy(s);
        return NULL;
    }
    for (uint32_t i = 0; i < subject->n_tensors; i++) { s->wanted[i] = is_in_file(&subject->tensors[i]); }
    return s;
}

static void feed(void * state, const struct tat_access * a, size_t count) {
    struct state * s = state;
    for (size_t i = 0; i < count; i++, a++) {
        if (!s->wanted[a->tensor] || a->bytes == 0 || a->flags & TAT_ACCESS_WRITE) { continue; }
        if (!is_inference(phase_of(a))) { continue; }
        if (a->evaluation != s->evaluation) {
            s->evaluation = a->evaluation;
            token_reads_open(&s->tokens, a->evaluation);
        }
        const uint64_t end = gap_end(s->subject->trace, a);
        gaps_add(&s->gaps, a, end);
        token_reads_add(&s->tokens, a, end);
    }
}

/* Compares one token and the next. */
static const char * sameness(const struct comparison * c) {
    if (!c->compared) { return ""; }
    if (c->tensors.identical < c->compared) { return "The order in which weights are read differs between tokens. "; }
    return c->slices.identical == c->compared
               ? "Every generated token reads the same weights in the same order. "
               : "Every generated token reads the same tensors in the same order, but not the same experts. ";
}

static void set_headline(struct state * s, struct result * r) {
    const struct gap_shares g = gap_shares(&s->gaps.counts[GAP_ALL]);
    char sequential[UNITS_SIZE], near[UNITS_SIZE], random[UNITS_SIZE];
    if (g.all.accesses == 0) {
        result_headline(r, "No prompt and no generated token read two weights of a file, so there is no order.");
        result_absent(r);
        return;
    }
    result_headline(
        r, "%sOf the reads, %s continue in the file where the one before ended, %s begin near that place, %s jump.",
        sameness(&s->tokens.comparison), format_share(sequential, ratio(g.sequential.accesses, g.all.accesses)),
        format_share(near, ratio(g.near.accesses, g.all.accesses)),
        format_share(random, ratio(g.random.accesses, g.all.accesses)));
}

static void finish(void * state, struct result * r) {
    struct state * s = state;
    token_reads_end(&s->tokens);
    set_headline(s, r);
    gaps_tell(&s->gaps, r);
    token_reads_tell(&s->tokens, r);
    gaps_tell_parts(&s->gaps, r);
    destroy(s);
}

const struct analysis order_analysis = {
    .name = "order",
    .title = "The order in which weights are read",
    .begin = begin,
    .feed = feed,
    .finish = finish,
};
